"""Storages by their URLs, and the archive's settings."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from penstock_common.objects import LocalObjects
from penstock_common.objects_url import ObjectsUrlInvalid, S3Objects, objects_at
from penstock_common.settings import ArchiveSettings


@pytest.mark.parametrize("url", ["/some/folder", "file:///some/folder", "file:///some%2Ffolder"])
def test_a_folder(url: str) -> None:
    objects = objects_at(url)
    assert isinstance(objects, LocalObjects)
    assert objects.folder == Path("/some/folder")


@pytest.mark.parametrize(("url", "prefix"), [("s3://a-bucket", ""), ("s3://a-bucket/a/b/", "a/b")])
def test_a_bucket(url: str, prefix: str) -> None:
    objects = objects_at(url)
    assert isinstance(objects, S3Objects)
    assert (objects.bucket, objects.prefix) == ("a-bucket", prefix)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "folder",
        "gs://bucket",
        "s3://",
        "s3://Bucket",
        "s3://a",
        "s3://bucket/ä",
        "file://host/a",
        "s3://bucket?key=1",
    ],
)
def test_what_is_no_storage_is_refused(url: str) -> None:
    with pytest.raises(ObjectsUrlInvalid):
        objects_at(url)


def test_credentials_in_a_url_are_refused_and_not_repeated() -> None:
    with pytest.raises(ObjectsUrlInvalid, match="AWS_ACCESS_KEY_ID") as raised:
        objects_at("s3://AKIA123:hunter2@bucket")
    assert "hunter2" not in str(raised.value)


def test_an_archive_outlives_the_outbox() -> None:
    """Else what is dropped there would be in neither."""
    with pytest.raises(ValidationError, match="more than hot_days"):
        ArchiveSettings(hot_days=90, cold_days=90)
    with pytest.raises(ValidationError, match="is no storage"):
        ArchiveSettings(url="somewhere")
    assert ArchiveSettings().url is None
