"""Streamed answers of a model's server, in whichever protocol, through the official client's low-level `post`.

The typed path of the SDK costs 1–7 ms a request (it walks every message) and ≈ 85 µs a token; this way it is ≈ 0.3 ms
and ≈ 2 µs, with the same keys, proxies and errors.

What fails before anything was given is tried again, however far it came: no connection, an error status, an error in
place of an answer, an answer that broke off or that says nothing. After that a second try could say something else than
what was already shown.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

import httpx2
import structlog
from openai import AsyncOpenAI

from prompts.adapters.openai.bodies import open_body
from prompts.adapters.openai.errors import find_server_words, has_no_answer, is_worth_a_retry, translated_errors
from prompts.adapters.openai.http_client import post
from prompts.adapters.openai.server_words import mask_keys
from prompts.domain.signals import Signal
from prompts.domain.text import ReasoningConfig
from prompts.errors import ServiceError, UpstreamError, UpstreamTimeout
from prompts.ports.chat_model import Answer

log = structlog.get_logger(__name__)

# Tries before the first token.
ATTEMPTS = 3
# The pause before the second try; it doubles. A model's server that restarts is back within seconds.
BACKOFF_S = 0.25
# After the finish reason only usage and [DONE] can follow; a server that forgets them loses no answer.
AFTER_REASON_S = 2.0
# After the usage, too, only [DONE]: it saves the connection, and is not worth a wait that a person notices.
AFTER_USAGE_S = 0.25
# After [DONE] the body's end is on its way: with it read the connection serves the next turn, else it must be closed.
AFTER_DONE_S = 0.05
# A few milliseconds' work for whoever tells them.
MAX_SIGNALS_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the model may take: to connect, to its first token, between two tokens; seconds."""

    connect_s: float
    first_token_s: float
    silence_s: float


class Reading(Protocol):
    """The state of reading one stream, fed with bytes as they arrive, cut anywhere."""

    has_begun: bool
    """Whether the model has said, thought or called something."""
    is_done: bool
    """Whether the stream has said that it ends, or has failed; what comes after is not looked at."""
    event_count: int
    """How many events were read: it stands still while the model is silent, whatever keeps the connection awake."""

    @property
    def has_reason(self) -> bool:
        """Whether the model has come to its end, and nothing that matters may follow but its usage."""

    @property
    def has_all(self) -> bool:
        """Whether its usage was told as well."""

    @property
    def is_empty(self) -> bool:
        """Of an answer that has finished: whether it says nothing, though the model calls it whole."""

    def feed(self, data: bytes) -> list[Signal]:
        """What these bytes say; what makes the answer a failure is kept for `finish`."""

    def finish(self) -> list[Signal]:
        """What is left when the bytes end, and how the answer ended: the last is a `Finished`.

        Raises a ServiceError for an error in the stream, for what is no stream, and for an answer that broke off.
        """


class Question(Protocol):
    """One request, as often as it takes to have it answered."""

    may_be_empty: bool
    """Whether an answer that says nothing is one."""

    def compose(self) -> dict[str, Any]:
        """The request's body."""

    def begin_reading(self) -> Reading:
        """What reads the stream that answers it."""

    def accept(self) -> None:
        """The server has taken the body as it was composed last."""

    def adapt(self, error: ServiceError, body: dict[str, Any]) -> bool:
        """Whether the server refused only how it was asked, and `compose` asks otherwise from now on."""


class Streams:
    """Opens the streams of one path; the client is closed by whoever made it."""

    def __init__(self, client: AsyncOpenAI, path: str, patience: Patience) -> None:
        self._client = client.with_options(max_retries=0)
        self._path = path
        self._patience = patience
        # Time limits for tokens are ours: the client's read timeout cannot tell the first from the next.
        self._timeout = httpx2.Timeout(None, connect=patience.connect_s, pool=patience.connect_s)

    def open(self, question: Question) -> AbstractAsyncContextManager[Answer]:
        """Ask, and open the answer."""
        return aclosing(self._answer(question))

    async def _answer(self, question: Question) -> AsyncGenerator[list[Signal], None]:
        """The answer, asked for again while nothing of it was given, within the time to the first token."""
        attempt, has_given = 1, False
        deadline = time.monotonic() + self._patience.first_token_s
        while True:
            body, reading = question.compose(), question.begin_reading()
            try:
                async with (
                    self._connect(body, deadline) as response,
                    aclosing(self._read_answer(response, reading, question, deadline)) as answer,
                ):
                    question.accept()
                    async for signals in answer:
                        has_given = True
                        yield signals
            except ServiceError as error:
                if not has_given and question.adapt(error, body):
                    log.info("model_asked_otherwise", told=_get_told(error))
                    continue
                if reading.has_begun:  # it is at work: what it had no time for was the answer
                    deadline = time.monotonic() + self._patience.first_token_s
                pause_s = _choose_pause_s(attempt, error)
                is_over = attempt == ATTEMPTS or has_given or time.monotonic() + pause_s > deadline
                if is_over or not is_worth_a_retry(error):
                    # Logged here, not where it is handled: the server's own words go no further up.
                    is_theirs = isinstance(error, UpstreamError | UpstreamTimeout)
                    log_failure = log.warning if is_theirs else log.info
                    log_failure("model_failed", code=error.code, attempt=attempt, told=_get_told(error))
                    raise
                log.info("model_asked_again", code=error.code, attempt=attempt, told=_get_told(error))
                await asyncio.sleep(pause_s)
                attempt += 1
            else:
                return

    @asynccontextmanager
    async def _connect(self, body: dict[str, Any], deadline: float) -> AsyncIterator[httpx2.Response]:
        """The answer's headers."""
        try:
            async with asyncio.timeout_at(_loop_time(deadline)):
                with translated_errors():
                    response = await post(self._client, self._path, limits=self._timeout, body=body)
        except TimeoutError:
            raise self._no_first_token() from None
        try:
            yield response
        finally:
            await response.aclose()

    async def _read_answer(
        self, response: httpx2.Response, reading: Reading, question: Question, first_token_by: float
    ) -> AsyncGenerator[list[Signal], None]:
        limit = first_token_by
        async with aclosing(open_body(response)) as body:
            while not reading.is_done:
                data = await self._read(body, limit, reading)
                if data is None:
                    break
                events_before = reading.event_count
                for group in _cut(reading.feed(data)):
                    yield group
                # Only the model's own words count: comments of a proxy keep the connection awake, not the answer.
                if reading.has_begun and reading.event_count > events_before:
                    limit = time.monotonic() + self._patience.silence_s
            await _read_end(body)
        signals = reading.finish()
        if reading.is_empty and not question.may_be_empty:
            raise UpstreamError("The model's server gave an empty answer. Send the input again.")
        for group in _cut(signals):
            yield group

    async def _read(self, source: AsyncIterator[bytes], limit: float, reading: Reading) -> bytes | None:
        """The next bytes, None at their end; what goes wrong after the finish reason is that end, too."""
        if reading.has_reason:
            rest_s = AFTER_USAGE_S if reading.has_all else AFTER_REASON_S
            limit = min(limit, time.monotonic() + rest_s)
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


def _get_told(error: ServiceError) -> str | None:
    """The server's own words, for the log: the operator has to know what is wrong with the server."""
    told = find_server_words(error)
    return mask_keys(told.words) if told else None


def _cut(signals: list[Signal]) -> list[list[Signal]]:
    """In groups of what can be told at once, so that nobody waits for all that one read has brought."""
    if len(signals) <= MAX_SIGNALS_AT_ONCE:
        return [signals] if signals else []
    starts = range(0, len(signals), MAX_SIGNALS_AT_ONCE)
    return [signals[start : start + MAX_SIGNALS_AT_ONCE] for start in starts]


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
