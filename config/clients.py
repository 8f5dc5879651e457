"""Opens Redis, Weaviate, the model's client and the runner once a process, and closes them in reverse order.

The only module that imports adapters. A dependency that cannot be reached does not stop the process: readiness says so,
and every client here heals by itself when the dependency is back.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import httpx2
from django.conf import settings
from openai import AsyncOpenAI, DefaultAioHttpClient
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from health.probes import Readiness
from prompts.adapters.openai_chat_model import OpenAIChatModel, Patience
from prompts.adapters.redis_api_keys import RedisApiKeys
from prompts.adapters.redis_conversation_store import RedisConversationStore
from prompts.adapters.redis_response_store import RedisResponseStore
from prompts.api.state import State
from prompts.api_keys import keep_reconciled
from prompts.ports import ApiKeys
from prompts.runner import Limits, Runner

if TYPE_CHECKING:
    from prompts.adapters.weaviate_connection import WeaviateConnection

Check = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Clients:
    """What one process has open; `lifespan.Drainable`."""

    prompts: State
    readiness: Readiness

    def state(self) -> dict[str, object]:
        """The entries of `scope["state"]`."""
        return {"prompts": self.prompts, "readiness": self.readiness}

    async def drain(self) -> None:
        """Not ready any more, no new runs; what runs may come to its end."""
        self.readiness.start_draining()
        await self.prompts.runner.drain(settings.DRAIN_S)


@asynccontextmanager
async def open_clients() -> AsyncIterator[Clients]:
    """Everything a process serves with."""
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(open_redis())
        weaviate = await stack.enter_async_context(open_weaviate())
        openai = await stack.enter_async_context(open_openai())
        state = _build_state(redis, openai)
        stack.push_async_callback(state.runner.close)
        await stack.enter_async_context(_in_background(keep_reconciled(state.api_keys)))
        readiness = _build_readiness(redis, weaviate)
        readiness.mark_started()
        yield Clients(prompts=state, readiness=readiness)


@asynccontextmanager
async def open_redis() -> AsyncIterator[Redis]:
    """A pooled client; a connection is made when it is first needed, and again when it broke."""
    pool = BlockingConnectionPool.from_url(
        settings.REDIS_URL,
        max_connections=settings.REDIS_MAX_CONNECTIONS,
        timeout=settings.REDIS_TIMEOUT_S,
        socket_timeout=settings.REDIS_TIMEOUT_S,
        socket_connect_timeout=settings.REDIS_TIMEOUT_S,
        # One more try, at once: a connection that broke while it lay in the pool is not the request's fault.
        retry=Retry(NoBackoff(), 1),
    )
    redis = Redis.from_pool(pool)
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
async def open_weaviate() -> AsyncIterator["WeaviateConnection | None"]:
    """The knowledge server, when one is configured."""
    if settings.WEAVIATE_URL is None:
        yield None
        return
    # Importing the client takes more than a second: only who has a Weaviate pays for it.
    from prompts.adapters.weaviate_connection import WeaviateConnection

    connection = WeaviateConnection(
        settings.WEAVIATE_URL, grpc_port=settings.WEAVIATE_GRPC_PORT, api_key=settings.WEAVIATE_API_KEY
    )
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def open_openai() -> AsyncIterator[AsyncOpenAI]:
    """The official client over aiohttp; a run holds a connection for its whole answer, so all of them fit."""
    limits = httpx2.Limits(max_connections=settings.MAX_RUNS + 10, max_keepalive_connections=50)
    http_client = DefaultAioHttpClient(limits=limits)
    # A model's server without keys still wants the header to be there.
    api_key = settings.OPENAI_API_KEY or "none"
    async with AsyncOpenAI(base_url=settings.OPENAI_BASE_URL, api_key=api_key, http_client=http_client) as client:
        yield client


def build_checks(redis: Redis, weaviate: "WeaviateConnection | None") -> Mapping[str, Check]:
    """Readiness checks by name; a check that fails raises."""

    async def ping() -> None:
        try:
            await redis.ping()
        except RedisTimeoutError as exc:
            raise TimeoutError from exc  # what a check calls timed out
        except RedisConnectionError as exc:
            raise ConnectionError from exc  # what a check calls unreachable

    checks: dict[str, Check] = {"redis": ping}
    if weaviate is not None:
        checks["weaviate"] = weaviate.check_ready
    return checks


def _build_readiness(redis: Redis, weaviate: "WeaviateConnection | None") -> Readiness:
    checks = build_checks(redis, weaviate)
    return Readiness(checks, required=settings.READYZ_REQUIRED, timeout_s=settings.READYZ_TIMEOUT_S)


def _build_state(redis: Redis, openai: AsyncOpenAI) -> State:
    patience = Patience(settings.MODEL_CONNECT_S, settings.MODEL_FIRST_TOKEN_S, settings.MODEL_SILENCE_S)
    limits = Limits(max_runs=settings.MAX_RUNS, max_run_s=settings.MAX_RUN_S, lease_s=settings.LEASE_S)
    model = OpenAIChatModel(openai, patience)
    responses = RedisResponseStore(redis, log_retention_s=settings.EVENT_LOG_RETENTION_S)
    return State(
        responses=responses,
        conversations=RedisConversationStore(redis),
        api_keys=RedisApiKeys(redis),
        model=model,
        runner=Runner(store=responses, model=model, limits=limits),
        default_model=settings.DEFAULT_MODEL,
        history_tokens=settings.HISTORY_TOKENS,
    )


@asynccontextmanager
async def _in_background(work: Awaitable[None]) -> AsyncIterator[None]:
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
