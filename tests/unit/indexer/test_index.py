"""The indexes on disk: crash-safe, silent about texts, made anew where they are damaged."""

import asyncio
from array import array
from collections.abc import Sequence
from pathlib import Path

import pytest

from penstock_common.ids import uuid7
from penstock_common.sealing import LocalKeyring, Sealer
from penstock_indexer.adapters.index.base_index import BaseIndex
from penstock_indexer.adapters.index.changes import Base
from penstock_indexer.adapters.index.entries import Change, Entry, chunk_id, number_of, slot_of
from penstock_indexer.adapters.index.place import OwnFolder
from penstock_indexer.adapters.index.tokens import Tokens

TENANT, BASE = uuid7(), uuid7()
NORTH, EAST = (array("f", numbers).tobytes() for numbers in ([1.0, 0.0], [0.0, 1.0]))


class Told:
    """Changes from a list instead of PostgreSQL."""

    def __init__(self, *changes: Change) -> None:
        self.changes = changes

    async def after(self, base: Base, sequence: int) -> Change | None:
        """The first that is newer."""
        return next((change for change in self.changes if sequence < change.sequence <= base.sequence), None)


class Disk:
    """One base's index in a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.sealer = folder, Sealer(LocalKeyring(folder / "keyring"))
        self.tokens = Tokens(self.sealer)

    def change(self, sequence: int, slot: int, words: str, vector: bytes) -> Change:
        """A document of one chunk; without words, its removal."""
        tokens = " ".join(self.tokens.of(TENANT, words))
        return Change(sequence, [slot], [Entry(chunk_id(slot, 0), vector, tokens)] if words else [])

    async def opened(self, *changes: Change) -> BaseIndex:
        """What a process has after it read what is there and what is new."""
        index = BaseIndex(self.folder / "index", BASE, TENANT, self.sealer)
        await index.load()
        base = Base(BASE, TENANT, TENANT, "m", max((change.sequence for change in changes), default=index.sequence))
        await index.follow(base, Told(*changes))  # type: ignore[arg-type]
        return index

    async def found(self, index: BaseIndex, words: str, slots: Sequence[int] | None = None) -> list[int]:
        """Slots by words."""
        return [slot_of(id_) for id_, _ in await index.by_words(self.tokens.of(TENANT, words), 5, slots)]


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    """An empty folder."""
    return Disk(tmp_path)


async def nearest(index: BaseIndex, vector: bytes, slots: Sequence[int] | None = None) -> list[int]:
    """Slots by vector."""
    return [slot_of(id_) for id_, _ in await index.by_vector(vector, 5, slots)]


async def test_documents_come_change_and_go(disk: Disk) -> None:
    """In both indexes, and after a restart."""
    first = [disk.change(1, 1, "water flows", NORTH), disk.change(2, 2, "bread rises", EAST)]
    index = await disk.opened(*first)
    assert await nearest(index, EAST) == [2, 1]
    assert await nearest(index, EAST, [1]) == [1]
    assert await disk.found(index, "bread") == [2]
    assert await disk.found(index, "bread water", [1]) == [1]
    await index.save()
    again = await disk.opened(*first, disk.change(3, 2, "water falls", NORTH), disk.change(4, 1, "", NORTH))
    assert (await disk.found(again, "water"), await disk.found(again, "bread")) == ([2], [])
    assert await nearest(again, EAST) == [2]


async def test_a_crash_before_the_save_costs_nothing(disk: Disk) -> None:
    """Words are on disk, vectors are not: what is missing is applied once more, and nothing is there twice."""
    changes = [disk.change(1, 1, "water flows", NORTH), disk.change(2, 2, "bread rises", EAST)]
    index = await disk.opened(changes[0])
    await index.save()
    await disk.opened(*changes)
    again = await disk.opened(*changes)
    assert again.sequence == 2
    assert sorted(await disk.found(again, "water bread")) == [1, 2]  # equally good: whichever is first
    assert await nearest(again, NORTH) == [1, 2]


@pytest.mark.parametrize("pattern", ["vectors.faiss", "words.state", "words/meta.json", "words/*.idx", "words/*.store"])
@pytest.mark.parametrize("size", [0, 20])
async def test_a_damaged_file_is_made_anew(disk: Disk, pattern: str, size: int) -> None:
    """Whichever it is; mapped into memory it would end the process."""
    changes = [disk.change(1, 1, "water flows", NORTH), disk.change(2, 2, "bread rises", EAST)]
    await (await disk.opened(*changes)).save()
    for path in disk.folder.glob(f"index/{pattern}"):
        with path.open("r+b") as file:
            file.truncate(size)
    again = await disk.opened(*changes)
    assert (await disk.found(again, "bread"), await nearest(again, NORTH)) == ([2], [1, 2])


async def test_a_database_that_was_set_back_wins(disk: Disk) -> None:
    """What it does not know any more is forgotten."""
    index = await disk.opened(disk.change(1, 1, "water", NORTH), disk.change(2, 2, "bread", EAST))
    await index.save()
    again = await disk.opened(disk.change(1, 1, "water", NORTH))
    assert (await disk.found(again, "bread"), await nearest(again, EAST)) == ([], [1])


async def test_no_word_lies_on_disk(disk: Disk) -> None:
    """Neither in the clear nor as another tenant would digest it."""
    index = await disk.opened(disk.change(1, 1, "penstock", NORTH))
    await index.save()
    content = b"".join(path.read_bytes() for path in disk.folder.glob("index/**/*") if path.is_file())
    assert b"penstock" not in content
    assert NORTH not in content
    assert await index.by_words(["penstock"], 5, None) == []
    assert await disk.found(index, "penstock") == [1]
    assert disk.tokens.of(TENANT, "penstock") != disk.tokens.of(uuid7(), "penstock")


def test_words_are_compared_by_their_stems(disk: Disk) -> None:
    """Case, accents and English endings don't matter."""
    assert disk.tokens.of(TENANT, "Turbines in CAFÉS") == disk.tokens.of(TENANT, "turbine in cafe")


def test_words_that_are_everywhere_are_not_searched_for(disk: Disk) -> None:
    """Unless a question has no others."""
    found = disk.tokens.of_question(TENANT, "How is the water in the pipe, the water?")
    assert set(found) == set(disk.tokens.of(TENANT, "how water pipe"))
    assert disk.tokens.of_question(TENANT, "to be or not to be") == disk.tokens.of(TENANT, "to be or not")


async def test_searches_go_on_while_it_grows(disk: Disk) -> None:
    """Each sees all of a change or nothing of it."""
    index = await disk.opened(disk.change(1, 1, "water", NORTH))
    changes = [disk.change(n, n, "water", NORTH) for n in range(2, 12)]
    base = Base(BASE, TENANT, TENANT, "m", 11)
    following = asyncio.create_task(index.follow(base, Told(*changes)))  # type: ignore[arg-type]
    counts = []
    while not following.done():
        counts.append(len(await index.by_vector(NORTH, 50, None)))
    assert counts == sorted(counts)
    assert len(await index.by_vector(NORTH, 50, None)) == 11


def test_ids_hold_their_document() -> None:
    """And the place in it."""
    id_ = chunk_id(7_000_000, 19_999)
    assert (slot_of(id_), number_of(id_)) == (7_000_000, 19_999)
    assert id_ < 1 << 63


def test_two_processes_have_folders_of_their_own(tmp_path: Path) -> None:
    """And the first one's is taken up again once it is gone."""
    first, second, third = (OwnFolder(tmp_path) for _ in range(3))
    assert (first.take().name, second.take().name) == ("0", "1")
    first.release()
    assert third.take().name == "0"
    second.release()
    third.release()
