"""Streamed answers of a model's server, in whichever protocol.

What fails before anything was given is tried again, however far it came: no connection, an error status, an error in
place of an answer, an answer that broke off or that says nothing. After that a second try could say something else than
what was already shown.
"""

import asyncio
from collections import deque
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol, Self

import structlog
from openai import AsyncOpenAI
from typing_extensions import override

from prompts.adapters.openai.bodies import StreamBody
from prompts.adapters.openai.direct_post import DirectPost
from prompts.adapters.openai.errors import (
    FOREIGN_ERRORS,
    find_server_words,
    has_no_answer,
    is_worth_a_retry,
    translate,
)
from prompts.adapters.openai.exchange import Overdue
from prompts.adapters.openai.server_words import mask_keys
from prompts.alarms import Limit
from prompts.domain.signals import Signal, Text, is_text
from prompts.domain.text import ReasoningConfig
from prompts.errors import ServiceError, UpstreamError, UpstreamTimeout
from prompts.ports.chat_model import Answer, Take, TappedAnswer

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

    has_reason: bool
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
        self.patience = patience
        self.post = DirectPost(client, path, connect_s=patience.connect_s)

    def open(self, question: Question) -> AbstractAsyncContextManager[Answer]:
        """Ask, and open the answer."""
        return _StreamedAnswer(self, question)


class _StreamedAnswer(TappedAnswer):
    """One answer, asked for again while nothing of it was given, within the time to the first token.

    An object and not layers of generators: a token would pass through all of them. Nearly all go past even this, from
    the connection to whoever has a tap here.
    """

    __slots__ = (
        *("_attempt", "_body", "_due", "_groups", "_has_given", "_is_over", "_loop", "_patience", "_post", "_question"),
        *("_asked", "_came", "_has_said", "_reading", "_take_text", "_was_heard"),
    )

    def __init__(self, streams: Streams, question: Question) -> None:
        self._patience = streams.patience
        self._post = streams.post
        self._question = question
        self._loop = asyncio.get_running_loop()
        self._asked: dict[str, Any]
        self._reading: Reading
        self._body: StreamBody | None = None
        self._groups: deque[list[Signal]] | None = None
        """What one read has brought and was not given yet."""
        self._came: list[Signal] = []
        """What the latest piece of the body says, for whoever iterates."""
        self._take_text: Take | None = None
        self._has_said = False
        """Whether any text was given."""
        self._attempt = 1
        self._has_given = False
        self._is_over = False
        self._due = 0.0
        """When the model must have said something, in the loop's time."""
        self._was_heard = False
        """Whether the latest read brought words of the model: from now on it may be silent for a while."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_over = True
        self._close()

    @override
    def tap(self, take: Take) -> None:
        """See `TappedAnswer`."""
        self._take_text = take

    async def __anext__(self) -> list[Signal]:
        if self._groups:
            return self._groups.popleft()
        if self._is_over:
            raise StopAsyncIteration
        signals = await (self._read_on() if self._has_given else self._begin())
        self._has_said = self._has_said or any(type(signal) is Text and signal.text for signal in signals)
        if len(signals) <= MAX_SIGNALS_AT_ONCE:
            return signals
        self._groups = deque(_cut(signals))
        return self._groups.popleft()

    async def _begin(self) -> list[Signal]:
        """The first signals."""
        self._due = self._loop.time() + self._patience.first_token_s
        while True:
            self._asked, self._reading = self._question.compose(), self._question.begin_reading()
            try:
                await self._ask()
                signals = await self._read_signals()
            except ServiceError as error:
                self._close()
                if self._question.adapt(error, self._asked):
                    log.info("model_asked_otherwise", told=_get_told(error))
                    continue
                await asyncio.sleep(self._choose_pause_s(error))
                self._attempt += 1
            else:
                self._has_given = True
                self._asked = {}  # the whole window, which nobody needs any more
                return signals

    async def _read_on(self) -> list[Signal]:
        """More signals. There is no second try: it could say something else than what was already shown."""
        try:
            return await self._read_signals()
        except ServiceError as error:
            self._is_over = True
            self._close()
            self._log_failure(error)
            raise

    def _choose_pause_s(self, error: ServiceError) -> float:
        """How long to wait before the next try. Raises the error when there is none."""
        if self._reading.has_begun:  # it is at work: what it had no time for was the answer
            self._due = self._loop.time() + self._patience.first_token_s
        pause_s = _choose_pause_s(self._attempt, error)
        is_too_late = self._attempt == ATTEMPTS or self._loop.time() + pause_s > self._due
        if is_too_late or not is_worth_a_retry(error):
            self._is_over = True
            self._log_failure(error)
            raise error
        log.info("model_asked_again", code=error.code, attempt=self._attempt, told=_get_told(error))
        return pause_s

    def _log_failure(self, error: ServiceError) -> None:
        """Logged here, not where it is handled: the server's own words go no further up."""
        is_theirs = isinstance(error, (UpstreamError, UpstreamTimeout))
        log_failure = log.warning if is_theirs else log.info
        log_failure("model_failed", code=error.code, attempt=self._attempt, told=_get_told(error))

    async def _ask(self) -> None:
        """Open the answer's body."""
        try:
            with Limit(self._due):
                await self._open()
        except TimeoutError:
            raise self._no_first_token() from None
        self._question.accept()

    async def _open(self) -> None:
        try:
            self._body = await self._post.open(self._asked)
        except FOREIGN_ERRORS as exc:
            raise translate(exc) from exc

    async def _read_signals(self) -> list[Signal]:
        """The next signals of this try; the last of them is a `Finished`."""
        reading = self._reading
        while not reading.is_done:
            has_more = await self._hear()
            signals, self._came = self._came, []
            if signals:
                return signals
            if not has_more:
                break
        await self._read_end()
        signals = reading.finish()
        if reading.is_empty and not self._question.may_be_empty:
            raise UpstreamError("The model's server gave an empty answer. Send the input again.")
        self._is_over = True
        self._close()
        return signals

    def _take(self, data: bytes) -> float | None:
        """Read what has arrived. Returns until when there must be more; None where whoever iterates has to see it."""
        reading = self._reading
        events_before = reading.event_count
        signals = reading.feed(data)
        # Only the model's own words count: comments of a proxy keep the connection awake, not the answer.
        if reading.event_count > events_before and reading.has_begun:
            self._was_heard = True
        if reading.is_done or reading.has_reason or (signals and not self._pass_on(signals)):
            self._came = signals
            return None
        if self._was_heard:
            self._was_heard = False
            self._due = self._loop.time() + self._patience.silence_s
        return self._due

    def _pass_on(self, signals: list[Signal]) -> bool:
        """Whether somebody has taken this past whoever iterates."""
        if not self._has_said or self._take_text is None:
            return False
        return is_text(signals) and self._take_text(signals)

    async def _hear(self) -> bool:
        """Hear on; whether there may be more. What goes wrong after the finish reason is the end, too."""
        assert self._body is not None
        if self._was_heard:
            self._was_heard = False
            self._due = self._loop.time() + self._patience.silence_s
        reading = self._reading
        if reading.has_reason:
            rest_s = AFTER_USAGE_S if reading.has_all else AFTER_REASON_S
            return await self._hear_rest(min(self._due, self._loop.time() + rest_s))
        try:
            return await self._body.hand_on(self._take, self._due)
        except Overdue:
            raise (self._silence() if reading.has_begun else self._no_first_token()) from None
        except FOREIGN_ERRORS as exc:
            raise translate(exc) from exc

    async def _hear_rest(self, due: float) -> bool:
        """Hear what is not missed."""
        assert self._body is not None
        with suppress(Overdue, ServiceError, *FOREIGN_ERRORS):
            return await self._body.hand_on(self._take, due)
        return False

    async def _read_end(self) -> None:
        """Read what follows the answer, so that its connection can be used again."""
        assert self._body is not None
        due = self._loop.time() + AFTER_DONE_S
        with suppress(Overdue, ServiceError, *FOREIGN_ERRORS):
            while self._loop.time() <= due and await self._body.read(due):
                pass

    def _close(self) -> None:
        body, self._body = self._body, None
        if body is not None:
            body.close()

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
