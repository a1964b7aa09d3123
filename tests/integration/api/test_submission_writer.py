"""Groups of submissions that are committed together: what each of them costs the others."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from asyncpg import CharacterNotInRepertoireError

from penstock_api.adapters.submission_writer import Entry, SubmissionWriter, group_of
from tests.support.databases import Databases
from tests.support.submissions_process import a_plain_entry, a_writer, an_entry
from tests.support.submitting import rows

pytestmark = pytest.mark.integration

SENT = "select message_id from api.outbox order by message_id"
KEPT = "select request_id from api.requests where status = 'accepted' order by request_id"


@pytest.fixture
async def writer(platform_databases: Databases) -> AsyncIterator[SubmissionWriter]:
    """One that was begun."""
    writer = a_writer(platform_databases.services["api"])
    yield writer
    await writer.stop()
    await writer.database.close()


def with_model(entry: Entry, model: str) -> Entry:
    """The same for another model."""
    return replace(entry, command=msgspec.structs.replace(entry.command, model=model))


async def test_all_kinds_are_kept_together(
    platform_databases: Databases, writer: SubmissionWriter, tmp_path: Path
) -> None:
    """Plain ones beside one that has a name, a webhook and a URL: a row of the history and a command each."""
    entries = [*(a_plain_entry(tmp_path) for _ in range(5)), an_entry(tmp_path)]
    ids = await asyncio.gather(*map(writer.write, entries))
    assert ids == [entry.command.request_id for entry in entries]
    assert await rows(platform_databases, KEPT) == sorted(ids)
    assert await rows(platform_databases, SENT) == [f"{id_}.queue" for id_ in sorted(ids)]


async def test_one_that_can_not_be_kept_fails_alone(
    platform_databases: Databases, writer: SubmissionWriter, tmp_path: Path
) -> None:
    """Those that came with it are kept, and nothing of it is."""
    good, bad = [a_plain_entry(tmp_path) for _ in range(4)], with_model(a_plain_entry(tmp_path), "a\0b")
    first, *others = await asyncio.gather(*map(writer.write, (bad, *good)), return_exceptions=True)
    assert isinstance(first, CharacterNotInRepertoireError)
    kept = sorted(other for other in others if isinstance(other, UUID))
    assert kept == sorted(entry.command.request_id for entry in good)
    assert await rows(platform_databases, KEPT) == kept
    assert await rows(platform_databases, SENT) == [f"{id_}.queue" for id_ in kept]


async def test_a_group_is_bounded(tmp_path: Path) -> None:
    """By number and by size; a single one always goes."""
    entries = [a_plain_entry(tmp_path) for _ in range(5)]
    size = len(entries[0].command.sealed)
    assert group_of(entries) == 5
    assert group_of(entries, most=4) == 4
    assert group_of(entries, most_bytes=3 * size) == 3
    assert group_of(entries, most_bytes=1) == 1
