"""The connections of a process: each is opened lazily, heals by itself, and is closed by its context.

A dependency that cannot be reached does not stop the process: readiness says so.
"""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING
from urllib.request import getproxies

import httpx2
from django.conf import settings
from django.core.files.storage import storages
from openai import AsyncOpenAI
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config.files import MB, list_failures
from config.redis_pools import build_pool, check_master, says_replica
from prompts.adapters.openai.http_client import ModelServerClient
from prompts.adapters.redis.api_keys import RedisApiKeys
from prompts.adapters.redis.eraser import RedisEraser
from prompts.adapters.redis.families import RedisFamilies
from prompts.adapters.redis.multiplexed import MultiplexedRedis
from prompts.adapters.redis.origins import RedisOrigins
from prompts.adapters.redis.outbox import RedisOutbox
from prompts.adapters.storage.file_storage import DjangoFileStorage
from prompts.archive.retention import Retention
from prompts.ports.api_keys import ApiKeys
from prompts.ports.observer import UNOBSERVED, Observer
from prompts.ports.origins import Origins
from prompts.ports.outbox import Outbox

if TYPE_CHECKING:
    from config.traced_clients import TracedClients
    from prompts.adapters.weaviate.connection import WeaviateConnection

Check = Callable[[], Awaitable[None]]


@asynccontextmanager
async def open_redis(traced: "TracedClients | None" = None) -> AsyncIterator[Redis]:
    """The client of a process; a connection is made when it is first needed, and again when it broke.

    Spans are made by a client that gives each command a connection to itself.
    """
    pool = build_pool(
        settings.REDIS_URL, max_connections=settings.REDIS_MAX_CONNECTIONS, timeout_s=settings.REDIS_TIMEOUT_S
    )
    redis = MultiplexedRedis(pool, says_replica) if traced is None else traced.open_redis(pool)
    try:
        yield redis
    finally:
        await redis.aclose()


@asynccontextmanager
async def open_api_keys() -> AsyncIterator[ApiKeys]:
    """The published API keys alone, for a command."""
    async with open_redis() as redis:
        yield RedisApiKeys(redis)


@asynccontextmanager
async def open_origins() -> AsyncIterator[Origins]:
    """The published origins alone, for a command."""
    async with open_redis() as redis:
        yield RedisOrigins(redis)


@asynccontextmanager
async def open_retention() -> AsyncIterator[Retention]:
    """What erases what projects do not keep any longer alone, for a command."""
    async with open_redis() as redis:
        yield build_retention(redis)


def build_retention(redis: Redis) -> Retention:
    """The same on a connection that is open."""
    return Retention(RedisFamilies(redis), RedisEraser(redis))


@asynccontextmanager
async def open_outbox() -> AsyncIterator[Outbox]:
    """What the archive has to copy alone, for a command."""
    async with open_redis() as redis:
        yield RedisOutbox(redis)


@asynccontextmanager
async def open_weaviate(observer: Observer = UNOBSERVED) -> AsyncIterator["WeaviateConnection | None"]:
    """The knowledge server, when one is configured."""
    if settings.WEAVIATE_URL is None:
        yield None
        return
    # Importing the client takes more than a second: only who has a Weaviate pays for it.
    from prompts.adapters.weaviate.connection import WeaviateConnection

    connection = WeaviateConnection(
        settings.WEAVIATE_URL,
        grpc_port=settings.WEAVIATE_GRPC_PORT,
        api_key=settings.WEAVIATE_API_KEY,
        observer=observer,
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def open_openai(traced: "TracedClients | None" = None) -> AsyncIterator[AsyncOpenAI]:
    """The official client over aiohttp; a run holds a connection for its whole answer, so all of them fit.

    Those beside are for what is asked besides runs: follow-ups, the list of models.
    """
    limits = httpx2.Limits(max_connections=settings.MAX_RUNS + 10, max_keepalive_connections=50)
    http_client = ModelServerClient(
        limits=limits,
        name_trace=None if traced is None else traced.name_trace,
        verify=choose_trust([settings.OPENAI_BASE_URL, *getproxies().values()]),
    )
    # A model's server without keys still wants the header to be there.
    api_key = settings.OPENAI_API_KEY or "none"
    async with AsyncOpenAI(base_url=settings.OPENAI_BASE_URL, api_key=api_key, http_client=http_client) as client:
        yield client


def choose_trust(addresses: Iterable[str]) -> ssl.SSLContext:
    """Whose word to take for who a server is, of those that are met on the way to the model.

    The certificates of the machine take a megabyte and 50 ms: without TLS on the way nobody's are read.
    """
    if any(each.lower().startswith("https:") for each in addresses):
        return httpx2.create_ssl_context()
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@contextmanager
def open_files() -> Iterator[DjangoFileStorage]:
    """The storage of uploaded files."""
    failures = list_failures(settings.FILES_S3_BUCKET)
    storage = DjangoFileStorage(
        storages["files"],
        spool=settings.FILES_DIR / ".incoming",
        max_spooled_bytes=settings.MAX_UPLOADS_MB * MB,
        failures=failures,
    )
    try:
        yield storage
    finally:
        storage.close()


def build_checks(redis: Redis, weaviate: "WeaviateConnection | None") -> dict[str, Check]:
    """Readiness checks by name; a check that fails raises."""

    async def check_redis() -> None:
        try:
            await check_master(redis)
        except RedisTimeoutError as exc:
            raise TimeoutError from exc  # what a check calls timed out
        except RedisConnectionError as exc:
            raise ConnectionError from exc  # what a check calls unreachable

    checks: dict[str, Check] = {"redis": check_redis}
    if weaviate is not None:
        checks["weaviate"] = weaviate.check_ready
    return checks
