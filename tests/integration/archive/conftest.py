"""An outbox of one's own on the real database, and real storages."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest

from penstock_common.db.tables import messaging_tables_v1
from penstock_common.ids import uuid7
from penstock_common.objects import LocalObjects, Objects
from penstock_common.objects_url import objects_at
from tests.support.archiving import Outbox, account_at, make_bucket, s3_server


@pytest.fixture
async def trial_url(postgres_database: str) -> str:
    """A database with the outbox and the inbox of one service."""
    connection = await asyncpg.connect(postgres_database)
    for statement in ("create schema trial", *messaging_tables_v1("trial")):
        await connection.execute(statement)
    await connection.close()
    return postgres_database


@pytest.fixture
async def outbox(trial_url: str) -> AsyncIterator[Outbox]:
    """The outbox."""
    connection = await asyncpg.connect(trial_url)
    yield Outbox(connection)
    await connection.close()


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The run's server that speaks S3."""
    with s3_server(tmp_path_factory.mktemp("s3") / "log") as url:
        yield url


@pytest.fixture
def bucket_url(s3_url: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder in an empty bucket, with the credentials for it in the environment."""
    bucket = f"bucket-{uuid7().hex}"
    for name, value in account_at(s3_url).items():
        monkeypatch.setenv(name, value)
    make_bucket(s3_url, bucket)
    return f"s3://{bucket}/some/folder"


@pytest.fixture
def local(tmp_path: Path) -> LocalObjects:
    """A folder."""
    return LocalObjects(tmp_path / "archive")


@pytest.fixture(params=["local", "s3"])
def objects(request: pytest.FixtureRequest, tmp_path: Path) -> Objects:
    """Each storage, empty."""
    if request.param == "local":
        return LocalObjects(tmp_path / "archive")
    return objects_at(request.getfixturevalue("bucket_url"))
