"""Streamed answers of a model's server, in whichever protocol, through the official client's low-level `post`.

The typed path of the SDK costs 1–7 ms a request (it walks every message) and ≈ 85 µs a token; this way it is ≈ 0.3 ms
and ≈ 2 µs, with the same keys, proxies and errors.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import structlog
from openai import AsyncOpenAI, AsyncStream

from prompts.adapters.openai.errors import has_no_answer, is_worth_a_retry, translated_errors
from prompts.domain.signals import Signal
from prompts.domain.text import ReasoningConfig
from prompts.errors import ServiceError, UpstreamTimeout
from prompts.ports.chat_model import Answer

log = structlog.get_logger(__name__)

# Tries before the first token; after it, a second try could say something else than what was already shown.
ATTEMPTS = 3
# The pause before the second try; it doubles. A model's server that restarts is back within seconds.
BACKOFF_S = 0.25
# After the finish reason only usage and [DONE] can follow; a server that forgets them loses no answer.
AFTER_REASON_S = 2.0
# After [DONE] the body's end is on its way: with it read the connection serves the next turn, else it must be closed.
AFTER_DONE_S = 0.05


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the model may take: to connect, to its first token, between two tokens; seconds."""

    connect_s: float
    first_token_s: float
    silence_s: float


class Reading(Protocol):
    """The state of reading one stream, fed with bytes as they arrive, cut anywhere."""

    has_begun: bool
    """Whether the model has said or thought something."""
    is_done: bool
    """Whether the stream has said that it ends; what comes after is not looked at."""
    event_count: int
    """How many events were read: it stands still while the model is silent, whatever keeps the connection awake."""

    @property
    def has_reason(self) -> bool:
        """Whether the model has come to its end, and nothing that matters may follow."""

    def feed(self, data: bytes) -> list[Signal]:
        """What these bytes say. Raises a ServiceError for an error in the stream, or what is no stream."""

    def finish(self) -> list[Signal]:
        """What is left when the bytes end, and how the answer ended: the last is a `Finished`.

        Raises UpstreamError when the answer did not end: it broke off.
        """


class Streams:
    """Opens the streams of one path; the client is closed by whoever made it."""

    def __init__(self, client: AsyncOpenAI, path: str, patience: Patience) -> None:
        self._client = client.with_options(max_retries=0)
        self._path = path
        self._patience = patience
        # Time limits for tokens are ours: the client's read timeout cannot tell the first from the next.
        self._timeout = httpx2.Timeout(None, connect=patience.connect_s, pool=patience.connect_s)

    @asynccontextmanager
    async def open(self, body: dict[str, Any], reading: Reading) -> AsyncIterator[Answer]:
        """Ask, and open the answer."""
        first_token_by = time.monotonic() + self._patience.first_token_s
        response = await self._ask(body, deadline=first_token_by)
        try:
            async with aclosing(self._answer(response, reading, first_token_by=first_token_by)) as answer:
                yield answer
        finally:
            await response.aclose()

    async def _ask(self, body: dict[str, Any], *, deadline: float) -> httpx2.Response:
        """The answer's headers; what failed before them is tried again, within the time to the first token."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                async with asyncio.timeout_at(_loop_time(deadline)):
                    with translated_errors():
                        return await self._post(body)
            except TimeoutError:
                raise self._no_first_token() from None
            except ServiceError as error:
                pause_s = _choose_pause_s(attempt, error)
                if attempt == ATTEMPTS or not is_worth_a_retry(error) or time.monotonic() + pause_s > deadline:
                    raise
                log.info("model_asked_again", code=error.code, attempt=attempt)
                await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    async def _post(self, body: dict[str, Any]) -> httpx2.Response:
        return await self._client.post(
            self._path,
            cast_to=httpx2.Response,
            body=body,
            options={"timeout": self._timeout},
            stream=True,
            stream_cls=AsyncStream[Any],
        )  # type: ignore[return-value]  # with cast_to a Response, the client hands out the raw one

    async def _answer(
        self, response: httpx2.Response, reading: Reading, *, first_token_by: float
    ) -> AsyncGenerator[list[Signal], None]:
        source, limit = response.aiter_bytes(), first_token_by
        while not reading.is_done:
            data = await self._read(source, limit, reading)
            if data is None:
                break
            events_before = reading.event_count
            if signals := reading.feed(data):
                yield signals
            # Only the model's own words count: comments of a proxy keep the connection awake, not the answer.
            if reading.has_begun and reading.event_count > events_before:
                limit = time.monotonic() + self._patience.silence_s
        await _read_end(source)
        yield reading.finish()

    async def _read(self, source: AsyncIterator[bytes], limit: float, reading: Reading) -> bytes | None:
        """The next bytes, None at their end; what goes wrong after the finish reason is that end, too."""
        if reading.has_reason:
            limit = min(limit, time.monotonic() + AFTER_REASON_S)
        try:
            async with asyncio.timeout_at(_loop_time(limit)):
                with translated_errors():
                    return await anext(source, None)
        except TimeoutError:
            if reading.has_reason:
                return None
            raise (self._silence() if reading.has_begun else self._no_first_token()) from None
        except ServiceError:
            if reading.has_reason:
                return None
            raise

    def _no_first_token(self) -> UpstreamTimeout:
        return UpstreamTimeout(f"The model said nothing for {self._patience.first_token_s:g} s. Send the input again.")

    def _silence(self) -> UpstreamTimeout:
        return UpstreamTimeout(f"The model fell silent for {self._patience.silence_s:g} s. Send the input again.")


def wants_thoughts(reasoning: ReasoningConfig) -> bool:
    """Whether thoughts are to be told: many models think whether they are asked to or not."""
    return reasoning.effort != "none" and (reasoning.effort is not None or reasoning.summary is not None)


def _choose_pause_s(attempt: int, error: ServiceError) -> float:
    """How long to wait after so many tries: not at all when a connection fails that lay in the pool.

    Its server has closed it in the meantime, as llama.cpp does after each stream; a new one is there at once.
    """
    if attempt == 1 and has_no_answer(error):
        return 0.0
    return max(BACKOFF_S * 2.0 ** (attempt - 1), error.retry_after_s or 0)


async def _read_end(source: AsyncIterator[bytes]) -> None:
    """Read what follows the answer, so that its connection can be used again."""
    with suppress(TimeoutError, ServiceError):
        async with asyncio.timeout(AFTER_DONE_S):
            with translated_errors():
                while await anext(source, None) is not None:
                    pass


def _loop_time(monotonic: float) -> float:
    """The loop's clock for a moment of `time.monotonic`; uvloop's differs."""
    return asyncio.get_running_loop().time() + monotonic - time.monotonic()
