"""Fixtures of the archive's tests: both databases in turn, and a Redis with an archive that is empty."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from pytest_django.plugin import DjangoDbBlocker
from redis.asyncio import Redis

from prompts.adapters.redis.outbox import RedisOutbox
from tests.support.archive import archive_all, empty_archive, use_database
from tests.support.builders import Stores, open_stores
from tests.support.erasing import World, open_world
from tests.support.postgres import PostgresServer
from tests.support.servers import ValkeyServer

DATABASE = 5


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """The PostgreSQL of these tests."""
    with PostgresServer(tmp_path_factory.mktemp("postgres")) as server:
        yield server


@pytest.fixture(scope="session")
def sqlite_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The SQLite of these tests."""
    return f"sqlite:///{tmp_path_factory.mktemp('sqlite')}/db.sqlite3"


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest, django_db_blocker: DjangoDbBlocker) -> Iterator[str]:
    """Each database in turn, for the ORM: the address of it."""
    is_postgres = request.param == "postgres"
    url = request.getfixturevalue("postgres").url if is_postgres else request.getfixturevalue("sqlite_url")
    with django_db_blocker.unblock(), use_database(url):
        yield url


@pytest.fixture
async def redis(valkey: ValkeyServer, database: str) -> AsyncIterator[Redis]:  # noqa: ARG001 -- the ORM uses it
    """A client of an empty database, with an archive that is empty too."""
    async with Redis.from_url(f"redis://127.0.0.1:{valkey.port}/{DATABASE}") as client:
        await client.flushdb()
        await asyncio.to_thread(empty_archive)
        await RedisOutbox(client).open()
        await archive_all(client)
        yield client


@pytest.fixture
def stores(redis: Redis) -> Stores:
    return open_stores(redis)


@pytest.fixture
async def world(redis: Redis, valkey: ValkeyServer, tmp_path: Path) -> AsyncIterator[World]:
    """All stores of a service, empty."""
    async with open_world(redis, f"redis://127.0.0.1:{valkey.port}/{DATABASE}", tmp_path) as opened:
        yield opened
