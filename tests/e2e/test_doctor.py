"""`penstock doctor` on a running platform, healthy and with faults that are really made, on both buses."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from penstock_common.messaging.connect import connect_bus
from penstock_common.messaging.envelope import MESSAGE_ID
from penstock_common.messaging.ports import Outgoing
from penstock_common.topology import REMOVE_MODEL
from tests.e2e.conftest import bus_options
from tests.support.doctor import Report, report_of
from tests.support.local_engines import listening, vllm
from tests.support.platform import Platform, running

pytestmark = [pytest.mark.e2e, pytest.mark.xdist_group("e2e")]

WITHIN = 60.0  # seconds


@pytest.fixture(scope="module", params=["nats", "rabbitmq"])
def patient(request: pytest.FixtureRequest, reachable_folder: Path) -> Iterator[Platform]:
    """A platform that these tests may hurt; each leaves it well."""
    folder = reachable_folder / f"doctor-{request.param}"
    with bus_options(request.param) as options, running(Platform(folder, options)) as made:
        yield made


def examined(platform: Platform) -> Report:
    """What it says."""
    done = platform.cli("doctor", "--json", check=False)
    return report_of(done.stdout, done.returncode)


def found(platform: Platform, holds: Callable[[Report], bool]) -> Report:
    """What it says once it says so."""
    end = time.monotonic() + WITHIN
    while not holds(report := examined(platform)):
        assert time.monotonic() < end, report
    return report


@contextlib.contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Stop the clock of some processes for a while."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_healthy_platform_has_no_finding(patient: Platform) -> None:
    """Every check is made, and each is fine; for people it is said in one line."""
    report = found(patient, lambda report: report.code == 0)
    assert {finding["level"] for finding in report.findings} == {"ok"}, report
    assert {finding["check"] for finding in report.findings} == {
        *("permissions", "disk", "port", "processes", "database", "schema", "clock"),
        *("bus", "topology", "consumers", "dead letters", "audit", "api", "engines"),
    }
    assert "No problem found." in patient.cli("doctor").stdout


async def test_engines_that_are_away_or_refuse_the_key_are_found(
    patient: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each by its models and its address; once they are removed, it is well."""
    monkeypatch.setenv("DOCTOR_KEY", "sk-wrong")
    async with listening(vllm("m", key="sk-right")) as port:
        url = f"http://127.0.0.1:{port}/v1"
        added = ["--engine", "vllm", "--upstream-model", "m"]
        await asyncio.to_thread(
            patient.cli, "models", "add", "locked", *added, "--url", url, "--api-key-env", "DOCTOR_KEY"
        )
        await asyncio.to_thread(patient.cli, "models", "add", "gone", *added, "--url", "http://127.0.0.1:9/v1")
        report = await asyncio.to_thread(examined, patient)
    problems = {finding["where"]: finding for finding in report.findings if finding["check"] == "engines"}
    assert set(report.wrong) == {"engines"}
    assert "the engine of locked is key refused: it refused our key" in problems[url]["problem"]
    assert "--api-key-env" in problems[url]["mend"]
    assert "the engine of gone is unreachable" in problems["http://127.0.0.1:9/v1"]["problem"]
    assert "sk-wrong" not in str(report)
    for name in ("locked", "gone"):
        await asyncio.to_thread(patient.cli, "models", "rm", name)
    assert (await asyncio.to_thread(examined, patient)).code == 0


def test_a_consumer_that_is_stuck_is_found(patient: Platform) -> None:
    """A process that hangs: both it and what waits for it are named, and nothing of that is left once it goes on."""
    ask = patient.client().chat.completions
    with frozen(patient.pids("billing")):
        for _ in range(3):
            ask.create(model="sim/fast", messages=[{"role": "user", "content": "Hello"}], max_tokens=3)
        report = found(patient, lambda report: "consumers" in report.wrong)
        assert report.names("consumers", "message(s) wait, and", "consumer billing-on-generation-completed")
        assert report.names("processes", "billing is frozen", "process ")
    found(patient, lambda report: report.code == 0)


async def test_dead_letters_are_found(patient: Platform) -> None:
    """By the consumer that could not handle them, and how many; no longer once somebody knows of them."""
    patient.cli("dlq", "ack", "--all", "--yes")
    bus = await connect_bus(patient.info["bus"], "test")
    try:
        headers = {"ce-specversion": "1.0", MESSAGE_ID: (id_ := str(uuid4())), "content-type": "application/json"}
        await bus.publish(Outgoing(REMOVE_MODEL.subject, REMOVE_MODEL.stream, id_, headers, b"{]"))
    finally:
        await bus.close()
    report = await asyncio.to_thread(found, patient, lambda report: set(report.wrong) == {"dead letters"})
    assert report.code == 1
    assert report.names("dead letters", "1 message(s) could not be handled", "dlq.inference-remove-model")
    listed = json.loads(patient.cli("dlq", "ls", "--consumer", "inference-remove-model", "--json").stdout)
    *_, letter = listed["dead_letters"]
    assert "common.contract_violated" in patient.cli("dlq", "show", letter["id"]).stdout
    assert patient.cli("dlq", "ack", letter["id"]).stdout.split()[0] == "1"
    await asyncio.to_thread(found, patient, lambda report: report.code == 0)
    (entry, *_) = json.loads(patient.cli("audit", "log", "--act", "dead-letters", "--json").stdout)["entries"]
    assert (entry["act"], entry["details"]["consumers"]) == (
        "dead-letters.acknowledge",
        "inference-remove-model 1",
    )


def test_a_database_that_hangs_is_found(patient: Platform) -> None:
    """It takes connections and answers nobody."""
    with frozen(patient.pids("postgres")):
        report = found(patient, lambda report: {"database", "processes"} <= set(report.wrong))
        assert report.names("database", "can't be reached", "127.0.0.1")
        assert report.names("processes", "postgres is frozen", "process ")
    found(patient, lambda report: report.code == 0)


def test_an_api_that_refuses_our_key_is_found(patient: Platform) -> None:
    """As where the keys of another platform lie in the folder."""
    state = patient.data / "state.json"
    kept = state.read_text()
    state.write_text(kept.replace(patient.info["api_key"], "psk-another"))
    try:
        assert examined(patient).names("api", "refuses the platform's own key", patient.info["base_url"])
    finally:
        state.write_text(kept)
