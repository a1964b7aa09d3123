"""Object storage in a folder."""

from pathlib import Path

import pytest

from penstock_common.objects import LocalObjects, ObjectMissing, ObjectsUnavailable


@pytest.fixture
def objects(tmp_path: Path) -> LocalObjects:
    """An empty store, whose folder does not exist yet."""
    return LocalObjects(tmp_path / "objects")


async def test_contents_are_kept_under_their_keys(objects: LocalObjects) -> None:
    """Replaced, listed by folder, removed; twice is no error."""
    await objects.put("a/b/1", b"one")
    await objects.put("a/b/1", b"two")
    await objects.put("c/2", b"")
    assert (await objects.get("a/b/1"), await objects.get("c/2")) == (b"two", b"")
    assert [(stored.key, stored.size) async for stored in objects.list("a")] == [("a/b/1", 3)]
    await objects.delete("a/b/1")
    await objects.delete("a/b/1")
    assert [stored.key async for stored in objects.list("a")] == []


async def test_what_is_not_there_is_said(objects: LocalObjects) -> None:
    """With its key."""
    with pytest.raises(ObjectMissing, match="no/such"):
        await objects.get("no/such")


async def test_the_folder_is_its_owners(objects: LocalObjects) -> None:
    """Nobody else may enter it."""
    await objects.put("a", b"one")
    assert objects.folder.stat().st_mode & 0o777 == 0o700


async def test_a_store_that_can_not_write_is_unavailable(objects: LocalObjects) -> None:
    """Here a file stands where the folder of the key would have to be."""
    await objects.put("a", b"one")
    with pytest.raises(ObjectsUnavailable, match=r"can.t take contents"):
        await objects.put("a/b", b"two")


async def test_contents_are_flushed(objects: LocalObjects, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file, and each folder on the way to it, before `put` returns."""
    flushed: list[str] = []
    monkeypatch.setattr("os.fsync", lambda number: flushed.append(str(Path(f"/proc/self/fd/{number}").readlink())))
    await objects.put("a/b/1", b"one")
    root = str(objects.folder)
    assert flushed == [f"{root}/a/b/1", f"{root}/a/b", f"{root}/a", root]
