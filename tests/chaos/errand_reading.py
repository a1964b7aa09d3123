"""What became of everything beside chats, read from the database and from the routes."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import msgspec

from tests.chaos.client import CUT
from tests.chaos.errands import Errands

PAUSE, TRIES = 1.0, 10
"""Seconds between two tries to read what a route says, and how many there are."""
REQUESTS = "select request_id::text, count(*) from billing.entries where book = 'customer' group by 1"
RUNS = "select id::text, state, error_code, source_id from worker.runs"
FINISHES = "select run_id::text, count(*) from worker.entries where kind = 'run.finished' group by 1"
TICKS = "select schedule_id::text, due_at, run_id::text from scheduler.ticks order by 1, 2"
DOCUMENTS = "select id::text, state, error_code from indexer.documents"
STATES = "select request_id::text, outcome, error_code from inference.generations"


@dataclass(slots=True)
class Ends:
    """What the database says of errands."""

    charges: dict[str, int] = field(default_factory=dict)
    states: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Request id → how it ended, and why."""
    runs: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    """Run id → state, error code, and who started it."""
    finishes: dict[str, int] = field(default_factory=dict)
    ticks: list[tuple[str, Any, str]] = field(default_factory=list)
    """(schedule, due, run) in order."""
    documents: dict[str, tuple[str, str]] = field(default_factory=dict)


async def read_ends(audit: str) -> Ends:
    """By a role that reads all schemas."""
    connection = await asyncpg.connect(audit)
    try:
        found = [[tuple(row) for row in await connection.fetch(query)] for query in (REQUESTS, RUNS, FINISHES)]
        more = [[tuple(row) for row in await connection.fetch(query)] for query in (TICKS, DOCUMENTS, STATES)]
    finally:
        await connection.close()
    charges, runs, finishes = found
    ticks, documents, states = more
    return Ends(
        dict(charges),
        {id_: (state, code) for id_, state, code in states},
        {id_: (state, code, source) for id_, state, code, source in runs},
        dict(finishes),
        ticks,
        {id_: (state, code) for id_, state, code in documents},
    )


@dataclass(slots=True)
class Answers:
    """What routes say of errands."""

    texts: dict[str, str] = field(default_factory=dict)
    """By submission."""
    places: list[int] = field(default_factory=list)
    """Which one of its task's runs each run was that succeeded."""
    found: dict[str, list[str]] = field(default_factory=dict)
    """Document id → the documents that a search for its word finds, the best first."""


async def read_answers(errands: Errands) -> Answers:
    answers, accepted = Answers(), errands.accepted
    for id_ in accepted.submissions:
        whole = await _get(errands, "GET", f"/api/v1/inference/{id_}/result")
        answers.texts[id_] = whole["choices"][0]["message"]["content"] if "choices" in whole else str(whole)
    for id_ in accepted.runs:
        shown = await _get(errands, "GET", f"/api/v1/runs/{id_}")
        answers.places += [shown["output"]["place"]] if shown.get("output") else []
    for id_, word in accepted.documents.items():
        path = f"/api/v1/knowledge-bases/{accepted.base}/search"
        found = await _get(errands, "POST", path, {"query": word, "mode": "words", "limit": 1})
        answers.found[id_] = [chunk["document_id"] for chunk in found.get("chunks", ())]
    return answers


async def _get(errands: Errands, method: str, path: str, body: Any = None) -> dict[str, Any]:
    """What a route says, once it does; its problem after some tries."""
    told: dict[str, Any] = {}
    for _ in range(TRIES):
        try:
            async with errands.place.session.request(method, f"{errands.place.replica()}{path}", json=body) as answer:
                told = msgspec.json.decode(await answer.read())
                if answer.status == 200:
                    return told
        except CUT as error:
            told = {"error": repr(error)}
        await asyncio.sleep(PAUSE)
    return told
