"""`penstock events trace`: the whole chain from the services' own records, and what it comes to."""

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID

import asyncpg
import pytest
from typer.testing import CliRunner

from penstock.main import app
from penstock_common.contracts.base import Decision
from penstock_common.ids import uuid7
from tests.support.chains import COMPLETED, SECRET, Chains, now
from tests.support.databases import Databases
from tests.support.outboxes import insert

pytestmark = pytest.mark.integration

CATALOGUE = "inference.catalogue.changed.v1"


@pytest.fixture
def chains(writing: asyncpg.Connection) -> Chains:
    """Records of what began half a minute ago."""
    return Chains(writing, now() - timedelta(seconds=30))


async def traced(databases: Databases, what: object) -> tuple[int, dict[str, Any]]:
    """Exit code and what `--json` prints; the text for people is made as well, and tells no secret."""
    command = ["events", "trace", str(what), "--database", databases.audit]
    people = await asyncio.to_thread(CliRunner().invoke, app, command)
    result = await asyncio.to_thread(CliRunner().invoke, app, [*command, "--json"])
    assert result.exit_code == people.exit_code
    assert SECRET.decode() not in people.stdout + result.stdout
    assert all(title in people.stdout for title in titles(json.loads(result.stdout)))
    return result.exit_code, json.loads(result.stdout)


def nodes(told: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """All of the tree, from above."""
    for root in told.get("roots", told.get("children", [])):
        yield root
        yield from nodes(root)


def titles(told: dict[str, Any]) -> list[str]:
    """What the lines say."""
    return [node["title"] for node in nodes(told)]


async def test_a_request_is_told_from_the_key_to_the_charge(platform_databases: Databases, chains: Chains) -> None:
    """Each decision with its reason and the version of the catalogue, then the usage, then the charge."""
    id_ = await chains.ended()
    status, told = await traced(platform_databases, id_)
    assert (status, told["state"], len(told["roots"])) == (0, "done", 1)
    steps = [n["title"] for n in nodes(told) if n["kind"] in ("decision", "end")]
    assert steps == [
        "authenticated",
        "entitled",
        "model resolved",
        "accepted",
        "limited",
        "routed",
        "succeeded",
    ]
    resolved = next(n for n in nodes(told) if n["title"] == "model resolved")
    assert (resolved["outcome"], resolved["reason"], resolved["catalogue_version"]) == ("sim/fast", "alias", "7")
    completed = next(n for n in nodes(told) if n["title"] == COMPLETED)
    below = [n["title"] for n in completed["children"]]
    assert sorted(below) == [
        "billing.usage.recorded.v1",
        "charged 0.005 USD",
        "handled by api-on-generation-completed",
        "handled by billing-on-generation-completed",
    ]
    assert told["sentences"] == [f"Request {id_}: succeeded after 60 ms, charged 0.005 USD."]


@pytest.mark.parametrize("prefix", ["chatcmpl-", "", "suffix"])
async def test_it_is_found_by_any_of_its_names(platform_databases: Databases, chains: Chains, prefix: str) -> None:
    """The id that a client has, the request's, or that of one of its events."""
    id_ = await chains.ended()
    what = f"{id_}.completed" if prefix == "suffix" else f"{prefix}{id_}"
    _, told = await traced(platform_databases, what)
    assert told["roots"][0]["id"] == str(id_)


async def test_several_attempts_are_told(platform_databases: Databases, chains: Chains) -> None:
    """How many, who took over, and for which the customer pays."""
    id_ = await chains.ended(attempt=3)
    _, told = await traced(platform_databases, id_)
    claims = [n["detail"] for n in nodes(told) if n["title"] == "taken over"]
    assert claims == ["attempt 2: inference-2", "attempt 3: inference-3"]
    assert any("took 3 attempts" in s and "attempt 3 alone" in s for s in told["sentences"])


@pytest.mark.parametrize(
    ("state", "seconds", "mark", "said"),
    [
        ("accepted", 300, "open", "unfinished"),
        ("accepted", 1, "bad", "lost: accepted at"),
        ("refused", 300, "bad", "refused"),
    ],
)
async def test_a_request_that_never_ended_is_told(
    platform_databases: Databases, chains: Chains, state: str, seconds: float, mark: str, said: str
) -> None:
    """Under way, lost or refused: each is another sentence, and none is exit code 0."""
    id_ = await chains.accepted(state, seconds)
    status, told = await traced(platform_databases, id_)
    assert (status, told["state"]) == (1, mark)
    assert said in told["sentences"][0]


async def test_a_request_that_is_taken_over_now_is_told(platform_databases: Databases, chains: Chains) -> None:
    """With its attempt and who makes it."""
    id_ = await chains.accepted()
    await chains.generation(id_, "running", 2)
    status, told = await traced(platform_databases, id_)
    assert (status, told["state"]) == (1, "open")
    assert "attempt 2 runs at inference-1" in told["sentences"][0]


async def test_what_waits_or_is_dead_is_told(
    platform_databases: Databases, chains: Chains, writing: asyncpg.Connection
) -> None:
    """An event that is not published, one that nobody handled, and one that a consumer could not handle."""
    id_ = await chains.ended()
    await writing.execute("update inference.outbox set published_at = null")
    await writing.execute("delete from api.inbox")
    status, told = await traced(platform_databases, id_)
    assert (status, told["state"]) == (1, "open")
    assert any("is not published yet" in s for s in told["sentences"])
    assert any("not handled yet by api-on-generation-completed" in s for s in told["sentences"])
    letter = uuid7()
    await writing.execute(DEAD, letter, letter.bytes, "api-on-generation-completed", f"{id_}.completed")
    status, told = await traced(platform_databases, id_)
    assert (status, told["state"]) == (1, "bad")
    assert any(f"penstock dlq show {letter}" in s for s in told["sentences"])


DEAD = """
insert into api.dead_letters (id, identity, consumer, subject, message_id, code, reason, attempts, story, headers, body,
    first_failed_at, last_failed_at, collected_at, changed_at)
values ($1, $2, $3, 's', $4, 'api.broken', 'because', 3, '[]', '{}', '', now(), now(), now(), now())
"""


def asked(run_id: UUID) -> list[Decision]:
    """The trail of a model call of a run."""
    return [Decision("ask", "worker", f"worker-1 for {run_id}")]


async def test_a_run_is_told_from_the_tick_to_the_charge(platform_databases: Databases, chains: Chains) -> None:
    """The same tree from the run, from its call and from the tick's event; another's call in the trace is left out."""
    trace_id = "c" * 32
    run_id = await chains.run(trace_id=trace_id)
    call = await chains.ended(decisions=asked(run_id), trace_id=trace_id)
    other = await chains.ended(trace_id=trace_id)
    for what in (run_id, call, f"{run_id}.start"):
        status, told = await traced(platform_databases, what)
        assert (status, [root["kind"] for root in told["roots"]]) == (0, ["tick"])
        found = [node.get("id") for node in nodes(told) if node["kind"] in ("run", "request")]
        assert found == [str(run_id), str(call)]
    _, told = await traced(platform_databases, trace_id)
    assert {str(call), str(other)} <= {node.get("id") for node in nodes(told)}


async def test_a_trace_is_followed_back_to_a_day_without_it(platform_databases: Databases, chains: Chains) -> None:
    """A day by day, so that what is new is found without reading all that is old."""
    told_of = {"ce-subject": "CatalogueChanged", "traceparent": f"00-{'a' * 32}-{'e' * 16}-01"}
    said = [
        chains.event(-timedelta(hours=hours).total_seconds() * 1000, CATALOGUE, "inference", told_of)
        for hours in (1, 26, 80)
    ]
    await insert(chains.connection, said)
    _, told = await traced(platform_databases, "a" * 32)
    assert {node["id"] for node in nodes(told) if node["kind"] == "event"} == {event.message_id for event in said[:2]}


async def test_runs_that_runs_started_are_told(platform_databases: Databases, chains: Chains) -> None:
    """From the lowest up to the highest; records that contradict themselves make no ring."""
    top = await chains.run(trigger="api")
    below = await chains.run(trigger="run", source=str(top))
    for what in (top, below):
        _, told = await traced(platform_databases, what)
        assert {str(top), str(below)} <= {node.get("id") for node in nodes(told)}
    await chains.connection.execute(
        "update worker.runs set trigger = 'run', source_id = $1 where id = $2", str(below), top
    )
    _, told = await traced(platform_databases, below)
    assert {str(top), str(below)} <= {node.get("id") for node in nodes(told)}


async def test_an_event_about_nothing_that_runs_is_told(platform_databases: Databases, chains: Chains) -> None:
    """With what became of it."""
    event = chains.event(0, "inference.catalogue.changed.v1", "inference", {"ce-subject": "CatalogueChanged"})
    await insert(chains.connection, [event])
    await chains.handled("billing-on-catalogue-changed", event.message_id)
    status, told = await traced(platform_databases, event.message_id)
    assert status == 1
    assert "handled by billing-on-catalogue-changed" in titles(told)
    assert "not handled yet by api-on-catalogue-changed" in titles(told)


async def test_a_chain_that_is_too_long_is_cut(
    platform_databases: Databases, chains: Chains, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is said; what was gathered is shown."""
    monkeypatch.setattr("penstock.events.tracing.gathering.MOST_THINGS", 3)
    top = await chains.run(trigger="api")
    for _ in range(4):
        await chains.run(trigger="run", source=str(top))
    _, told = await traced(platform_databases, top)
    assert told["cut"]
    assert any("was cut" in sentence for sentence in told["sentences"])


@pytest.mark.parametrize("what", ["x", "01a2009d-463a-7567-9141-86299c0974c9", "f" * 32, "01a2009d" * 100])
def test_what_nobody_knows_is_said(platform_databases: Databases, what: str) -> None:
    """A sentence, and an exit code that is no verdict."""
    result = CliRunner().invoke(app, ["events", "trace", what, "--database", platform_databases.audit])
    assert getattr(result.exception, "exit_status", None) == 2
