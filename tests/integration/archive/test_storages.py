"""Both storages keep the same promises."""

import logging

import pytest

from penstock_common.objects import ObjectMissing, Objects, ObjectsUnavailable
from penstock_common.objects_url import S3Objects, objects_at

pytestmark = pytest.mark.integration


async def test_contents_under_keys(objects: Objects) -> None:
    """Replaced, read in part, listed, removed; twice is no error."""
    await objects.put("a/b/1", b"one")
    await objects.put("a/b/1", b"three")
    await objects.put("a/c/2", b"")
    assert await objects.get("a/b/1") == b"three"
    assert await objects.get_range("a/b/1", 1, 3) == b"hre"
    assert sorted([(stored.key, stored.size) async for stored in objects.list("a")]) == [("a/b/1", 5), ("a/c/2", 0)]
    assert list(await objects.folders("a")) == ["b", "c"]
    await objects.delete("a/b/1")
    await objects.delete("a/b/1")
    assert list(await objects.folders("a")) == ["c"]
    assert list(await objects.folders("none")) == []


async def test_the_first_of_a_key_wins(objects: Objects) -> None:
    """What the archive's order rests on."""
    assert await objects.put_new("a/1", b"one")
    assert not await objects.put_new("a/1", b"two")
    assert await objects.get("a/1") == b"one"


async def test_what_is_not_there_is_said(objects: Objects) -> None:
    """With its key."""
    for asking in (objects.get("no/such"), objects.get_range("no/such", 0, 1)):
        with pytest.raises(ObjectMissing, match="no/such"):
            await asking


async def test_a_bucket_that_is_not_there_is_unavailable(bucket_url: str, caplog: pytest.LogCaptureFixture) -> None:
    """And the sentence has its name, but no credentials."""
    caplog.set_level(logging.DEBUG)
    objects = objects_at("s3://no-such-bucket/folder")
    assert isinstance(objects, S3Objects)
    with pytest.raises(ObjectsUnavailable, match="no-such-bucket") as raised:
        await objects.put("a", b"one")
    assert "of-a-test" not in f"{raised.value} {raised.value.message} {caplog.text}"
