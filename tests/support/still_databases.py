"""Databases for tests that run no event loop of pytest's."""

import asyncio
from collections.abc import Iterator

import pytest

from penstock_common.db.tables import messaging_tables_v1
from tests.support.databases import Databases, execute, temporary_database, temporary_platform

TRIAL = ("create schema trial", *messaging_tables_v1("trial"), "create table trial.effects (message text)")


@pytest.fixture
def databases(postgres_url: str) -> Iterator[Databases]:
    """A database with all services' tables."""
    with asyncio.Runner() as runner:
        made = temporary_platform(postgres_url)
        yield runner.run(made.__aenter__())
        runner.run(made.__aexit__(None, None, None))


@pytest.fixture
def trial_url(postgres_url: str) -> Iterator[str]:
    """A database with outbox, inbox, and a table for effects."""
    with asyncio.Runner() as runner:
        made = temporary_database(postgres_url)
        url = runner.run(made.__aenter__())
        runner.run(execute(url, *TRIAL))
        yield url
        runner.run(made.__aexit__(None, None, None))
