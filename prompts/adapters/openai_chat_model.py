"""A model that speaks Chat Completions, asked through the official client's low-level `post` with raw streaming.

The typed path of the SDK costs 1–7 ms a request (it walks every message) and ≈ 85 µs a token; this way it is ≈ 0.3 ms
and ≈ 2 µs, with the same keys, proxies and errors.
Protocol: https://platform.openai.com/docs/api-reference/chat-streaming
"""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx2
import msgspec
import structlog
from openai import AsyncOpenAI, AsyncStream

from prompts.adapters.openai_chat_wire import ChatReading, continuation_body, model_body
from prompts.adapters.openai_continuation import NewText, Ways, get_prefix
from prompts.adapters.openai_errors import is_worth_a_retry, translated_errors
from prompts.domain import Model, ModelMessage, ModelRequest
from prompts.errors import InvalidPrompt, ServiceError, UpstreamTimeout
from prompts.events import Signal
from prompts.ports import Answer

log = structlog.get_logger(__name__)

# Tries before the first token; after it, a second try could say something else than what was already shown.
ATTEMPTS = 3
# The pause before the second try; it doubles. A model's server that restarts is back within seconds.
BACKOFF_S = 0.25
# After the finish reason only usage and [DONE] can follow; a server that forgets them loses no answer.
AFTER_REASON_S = 2.0
# After [DONE] the body's end is on its way: with it read the connection serves the next turn, else it must be closed.
AFTER_DONE_S = 0.05
# How long the list of models holds, and how soon a server that could not give it is asked again.
MODELS_AGE_S = 60.0
MODELS_RETRY_S = 5.0


class ListedModel(msgspec.Struct):
    """One entry; servers differ in everything but the id."""

    id: str
    created: Any = None
    owned_by: Any = None


class ModelList(msgspec.Struct):
    """The answer to GET /models."""

    data: list[ListedModel] | None = None


decode_models = msgspec.json.Decoder(ModelList).decode


@dataclass(frozen=True, slots=True)
class Patience:
    """How long the model may take: to connect, to its first token, between two tokens; seconds."""

    connect_s: float
    first_token_s: float
    silence_s: float


class OpenAIChatModel:
    """`ChatModel` over Chat Completions; the client is opened and closed by whoever made it."""

    def __init__(self, client: AsyncOpenAI, patience: Patience) -> None:
        self._client = client.with_options(max_retries=0)
        self._patience = patience
        # Time limits for tokens are ours: the client's read timeout cannot tell the first from the next.
        self._timeout = httpx2.Timeout(None, connect=patience.connect_s, pool=patience.connect_s)
        self._ways = Ways(str(client.base_url))
        self._models: Sequence[Model] = ()
        self._models_until = 0.0
        self._asking_models = asyncio.Lock()

    def stream(
        self, request: ModelRequest, messages: Sequence[ModelMessage], *, shown: str = ""
    ) -> AbstractAsyncContextManager[Answer]:
        """See `ChatModel.stream`."""
        if shown:
            return aclosing(self._continue(request, messages, shown))
        return self._open(model_body(request, messages), ChatReading())

    async def list_models(self) -> Sequence[Model]:
        """See `ChatModel.list_models`. While the model's server cannot say, what it said last holds."""
        if time.monotonic() > self._models_until and not (self._models and self._asking_models.locked()):
            async with self._asking_models:
                if time.monotonic() > self._models_until:
                    await self._refresh_models()
        return self._models

    async def _refresh_models(self) -> None:
        age_s = MODELS_AGE_S
        try:
            async with asyncio.timeout(self._patience.connect_s):
                with translated_errors():
                    answer = await self._client.get("/models", cast_to=httpx2.Response)
            self._models = [_as_model(listed) for listed in decode_models(answer.content).data or ()]
        except (TimeoutError, ServiceError, msgspec.DecodeError) as exc:
            age_s = MODELS_RETRY_S
            log.warning("models_unknown", reason=type(exc).__name__)
        self._models_until = time.monotonic() + age_s

    async def _continue(
        self, request: ModelRequest, messages: Sequence[ModelMessage], shown: str
    ) -> AsyncGenerator[list[Signal], None]:
        """What is new of the answer, asked for in the first way that leads to one."""
        prefix = get_prefix(shown)
        ways = self._ways.list_for(request.model, prefix)
        for way in ways:
            is_last, reading, new = way is ways[-1], ChatReading(), NewText(shown)
            try:
                async with self._open(continuation_body(request, messages, prefix, way), reading) as answer:
                    self._ways.accept(request.model, way)
                    async for signals in answer:
                        fresh = new.take(signals)
                        if fresh and (is_last or not _has_only_thought(reading, new)):
                            yield fresh
            except InvalidPrompt as error:
                if is_last:
                    raise
                log.info("continuation_refused", way=way.value, code=error.code)
            else:
                if is_last or not _has_only_thought(reading, new):
                    return

    @asynccontextmanager
    async def _open(self, body: dict[str, Any], reading: ChatReading) -> AsyncIterator[Answer]:
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
                pause_s = max(BACKOFF_S * 2 ** (attempt - 1), error.retry_after_s or 0)
                if attempt == ATTEMPTS or not is_worth_a_retry(error) or time.monotonic() + pause_s > deadline:
                    raise
                log.info("model_asked_again", code=error.code, attempt=attempt)
                await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    async def _post(self, body: dict[str, Any]) -> httpx2.Response:
        return await self._client.post(
            "/chat/completions",
            cast_to=httpx2.Response,
            body=body,
            options={"timeout": self._timeout},
            stream=True,
            stream_cls=AsyncStream[Any],
        )  # type: ignore[return-value]  # with cast_to a Response, the client hands out the raw one

    async def _answer(
        self, response: httpx2.Response, reading: ChatReading, *, first_token_by: float
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

    async def _read(self, source: AsyncIterator[bytes], limit: float, reading: ChatReading) -> bytes | None:
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


def _has_only_thought(reading: ChatReading, new: NewText) -> bool:
    """Whether there was nothing but thinking: some of vLLM's parsers take a continuation for it (vllm#38749)."""
    return reading.has_begun and not new.has_begun


async def _read_end(source: AsyncIterator[bytes]) -> None:
    """Read what follows the answer, so that its connection can be used again."""
    with suppress(TimeoutError, ServiceError):
        async with asyncio.timeout(AFTER_DONE_S):
            with translated_errors():
                await anext(source, None)


def _as_model(listed: ListedModel) -> Model:
    created = listed.created if isinstance(listed.created, int) else 0
    return Model(id=listed.id, created=created, owned_by=str(listed.owned_by or "unknown"))


def _loop_time(monotonic: float) -> float:
    """The loop's clock for a moment of `time.monotonic`; uvloop's differs."""
    return asyncio.get_running_loop().time() + monotonic - time.monotonic()
