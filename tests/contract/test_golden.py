"""A released message never changes its meaning; what is new has a sample."""

from importlib import import_module, util
from pathlib import Path

import pytest

from penstock_common.contracts.base import Contract, Wire, decode
from penstock_common.contracts.generation import CancelGeneration, Tokens
from penstock_common.contracts.stream import pack, unpack
from penstock_common.messaging.binding import matched
from penstock_common.messaging.envelope import CONTENT_TYPE, envelop, opened
from penstock_common.messaging.ports import Incoming
from penstock_common.messaging.router import Router
from penstock_common.messaging.topology import Consumer, Topic
from penstock_common.topology import PLATFORM
from tests.contract.frames import FRAMES, released
from tests.contract.golden import FOLDER, SAID, Said, Sample, broken, samples_of
from tests.contract.make_golden import missing, write

SAMPLES = [sample for said in SAID for sample in samples_of(said)]
SERVICES = sorted({consumer.service for consumer in PLATFORM.consumers})


def router_of(service: str) -> Router:
    """The handlers of a service."""
    router: Router = import_module(f"penstock_{service}.subscribers").router
    return router


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.path.stem)
def test_released_message_is_read_as_on_its_first_day(sample: Sample) -> None:
    """Every field, default and fingerprint of every sample is still what it was."""
    assert broken(sample) == []


@pytest.mark.parametrize("said", SAID, ids=lambda s: s.name)
def test_every_contract_has_its_samples(said: Said) -> None:
    """The least message and one with every field: `python -m tests.contract.make_golden` writes what is new."""
    assert missing(said) == []


def test_no_sample_is_of_a_forgotten_topic() -> None:
    """A topic that leaves the topology takes its samples with it, on purpose."""
    known = {sample.path for sample in SAMPLES} | {FOLDER / "stream.frames.json"}
    assert set(FOLDER.iterdir()) == known


@pytest.mark.parametrize("name", FRAMES)
def test_released_frame_is_read_as_on_its_first_day(name: str) -> None:
    """The same bytes give the same frames, in golden hexadecimal digits."""
    assert unpack(bytes.fromhex(released()[name])) == FRAMES[name]


@pytest.mark.parametrize("name", FRAMES)
def test_frames_are_packed_as_released(name: str) -> None:
    """A process of the last release reads what this one sends."""
    assert pack(FRAMES[name]).hex() == released()[name]


@pytest.mark.parametrize("service", SERVICES)
def test_every_consumer_reads_all_samples_of_its_topic(service: str) -> None:
    """Each handler, main lane and dead lane, takes every released message as the bus would deliver it."""
    for registration, row in matched(PLATFORM, router_of(service)):
        samples = [s for s in SAMPLES if s.said.contract is row.topic.contract]
        assert samples, row.name
        for sample in samples:
            assert isinstance(opened(delivered(sample, row), registration.contract), row.topic.contract)


def delivered(sample: Sample, row: Consumer) -> Incoming:
    """A sample as it comes from the bus."""
    headers = {CONTENT_TYPE: sample.said.wire.value}
    return Incoming(row.topic.subject, sample.path.stem, headers, sample.body, raw=None)


def test_a_service_with_consumers_has_handlers() -> None:
    """The test above finds the code of each service that the topology names."""
    assert [s for s in SERVICES if util.find_spec(f"penstock_{s}.subscribers") is None] == []


class Renamed(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """`CancelGeneration` with a field renamed."""

    request_id: str
    tenant: str
    why: str


class Retyped(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """`CancelGeneration` with a field of another type."""

    request_id: str
    tenant: str
    reason: int


class Dropped(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """`CancelGeneration` without its reason."""

    request_id: str
    tenant: str


class Grown(CancelGeneration, frozen=True, kw_only=True, omit_defaults=True):
    """`CancelGeneration` with a new optional field, and one inside of a part."""

    by: str = ""
    used: Tokens = Tokens()


class Slow(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """A contract with a default."""

    request_id: str
    lane: str = "slow"


class Fast(Contract, frozen=True, kw_only=True, omit_defaults=True):
    """`Slow` with another default."""

    request_id: str
    lane: str = "fast"


@pytest.mark.parametrize(("contract", "field"), [(Renamed, "why"), (Retyped, "reason"), (Dropped, "reason")])
def test_a_breaking_change_is_named_by_its_field(contract: type[Contract], field: str, tmp_path: Path) -> None:
    """Renaming, retyping and dropping a field each show up, with the field's name."""
    write(Said("cancel.v1", CancelGeneration, Wire.JSON), tmp_path)
    [sample] = samples_of(Said("cancel.v1", contract, Wire.JSON), tmp_path)
    assert any(f"`{field}`" in line or f".{field}`" in line for line in broken(sample)), broken(sample)


def test_a_changed_default_is_named_by_its_field(tmp_path: Path) -> None:
    """What a message without the field means is part of its meaning."""
    write(Said("find.v1", Slow, Wire.JSON), tmp_path)
    least, *_ = samples_of(Said("find.v1", Fast, Wire.JSON), tmp_path)
    assert any("`$.lane` was 'slow', is 'fast'" in line for line in broken(least))


def test_a_new_optional_field_breaks_nothing_and_asks_for_a_sample(tmp_path: Path) -> None:
    """Old samples stay as they are, fingerprints too; one with the new field joins them."""
    write(Said("cancel.v1", CancelGeneration, Wire.JSON), tmp_path)
    grown = Said("cancel.v1", Grown, Wire.JSON)
    assert [line for sample in samples_of(grown, tmp_path) for line in broken(sample)] == []
    assert [path.name for path in write(grown, tmp_path)] == ["cancel.v1.2.json"]
    assert missing(grown, tmp_path) == []


@pytest.mark.parametrize("topic", PLATFORM.topics, ids=lambda t: t.subject)
def test_headers_are_cloudevents(topic: Topic) -> None:
    """CloudEvents 1.0: required attributes present, names in `ce-` lower case, values without control characters."""
    for sample in samples_of(next(said for said in SAID if said.contract is topic.contract)):
        outgoing = envelop(decode(topic.contract, sample.body, topic.wire), topic)
        headers = outgoing.headers
        assert headers["ce-specversion"] == "1.0"
        assert headers["ce-id"] == outgoing.message_id
        assert headers["ce-type"] == f"penstock.{topic.subject}"
        assert headers["ce-source"] == f"penstock/{topic.owner}"
        assert headers["content-type"] == topic.wire.value
        assert all(name == name.lower() and value.isprintable() and value.isascii() for name, value in headers.items())
        assert opened(Incoming(topic.subject, "", headers, outgoing.body, raw=None), topic.contract)
