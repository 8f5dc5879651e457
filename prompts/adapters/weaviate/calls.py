"""Calls of Weaviate: each within its time, its errors as ours, and none while Weaviate is left alone."""

import asyncio
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import httpx
import structlog
from weaviate import WeaviateAsyncClient
from weaviate.exceptions import (
    UnexpectedStatusCodeError,
    WeaviateBaseError,
    WeaviateClosedClientError,
    WeaviateConnectionError,
    WeaviateGRPCUnavailableError,
    WeaviateRetryError,
    WeaviateTimeoutError,
)

from prompts.adapters.weaviate.connection import WeaviateConnection, WeaviateNotReadyError
from prompts.errors import Unavailable
from prompts.ports.observer import UNOBSERVED, KnowledgeFailed, Observer
from prompts.run.breaker import Breaker

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")

# One turn has waited in vain: the next ones do not. Weaviate is ours and near, so it is soon asked again.
MAX_FAILURES = 1
OPEN_S, MAX_OPEN_S = 2.0, 10.0
_TIMEOUTS = (TimeoutError, WeaviateTimeoutError, httpx.TimeoutException)
_LOST = (
    ConnectionError,
    WeaviateConnectionError,
    WeaviateClosedClientError,
    WeaviateGRPCUnavailableError,
    WeaviateRetryError,
    httpx.TransportError,
)
_REFUSED = (WeaviateNotReadyError, WeaviateBaseError, grpc.aio.AioRpcError, httpx.HTTPError)


class NoTenantError(Exception):
    """The vector store has nothing in the index, or no more."""


class WeaviateCalls:
    """Asks Weaviate on one connection. A foreign error's text goes to the log and no further."""

    def __init__(self, connection: WeaviateConnection, observer: Observer = UNOBSERVED) -> None:
        self._connection = connection
        self._observer = observer
        self._breaker = Breaker(
            "weaviate", max_failures=MAX_FAILURES, observer=observer, open_s=OPEN_S, max_open_s=MAX_OPEN_S
        )

    def admit(self) -> None:
        """Raises Unavailable while Weaviate is left alone. Once for all calls of a search: each asking may be a try."""
        wait_s = self._breaker.find_wait_s()
        if wait_s is not None:
            raise _unavailable(wait_s)

    async def ask(
        self,
        question: Callable[[WeaviateAsyncClient], Awaitable[Answer]],
        *,
        within_s: float,
        is_admitted: bool = False,
    ) -> Answer:
        """The answer. Raises Unavailable; NoTenantError where the tenant does not exist."""
        if not is_admitted:
            self.admit()
        try:
            async with asyncio.timeout(within_s):
                answer = await question(await self._connection.client())
        except (*_TIMEOUTS, *_LOST, *_REFUSED) as exc:
            if "tenant not found" in str(exc):
                self._breaker.succeed()
                raise NoTenantError from exc
            self._count(exc)
            raise _unavailable() from exc
        self._breaker.succeed()
        return answer

    def _count(self, exc: Exception) -> None:
        """What it fails at, told and counted. A refusal is an answer: the next question may have a better one."""
        if isinstance(exc, _TIMEOUTS):
            failed = KnowledgeFailed("timeout")
        elif isinstance(exc, _LOST) or _says_away(exc):
            failed = KnowledgeFailed("unreachable")
        else:
            failed = KnowledgeFailed("refused")
        log.warning("knowledge_failed", kind=failed.kind, reason=f"{type(exc).__name__}: {exc}"[:500])
        self._observer.notice(failed)
        if failed.kind == "refused":
            self._breaker.succeed()
        else:
            self._breaker.fail()


def _says_away(exc: Exception) -> bool:
    """Whether it, or a proxy before it, says that it does not serve now."""
    if isinstance(exc, UnexpectedStatusCodeError):
        return exc.status_code >= HTTPStatus.BAD_GATEWAY
    cause = exc if isinstance(exc, grpc.aio.AioRpcError) else exc.__cause__
    return isinstance(cause, grpc.aio.AioRpcError) and cause.code() is grpc.StatusCode.UNAVAILABLE


def _unavailable(wait_s: float = 1.0) -> Unavailable:
    message = "The knowledge index does not answer at the moment. Try again later."
    return Unavailable(message, retry_after_s=max(wait_s, 1.0))
