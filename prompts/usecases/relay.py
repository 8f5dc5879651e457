"""Use case: a request that is handed on to the model's server as it is. Nothing of it is kept."""

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import AbstractContextManager, aclosing, contextmanager
from dataclasses import dataclass, field
from typing import cast

import msgspec
import structlog

from prompts.domain.usage import Usage
from prompts.errors import ServiceError
from prompts.ports.observer import ModelCalled, Observer
from prompts.ports.relay import RelayedAnswer, RelayPath
from prompts.ports.token_meter import NO_TOKEN_LIMITS, TokenLimits, TokensLeft
from prompts.run.guarded_model import GuardedModel
from prompts.run.guarded_relay import GuardedRelay
from prompts.run.metering import Question, meter_question
from prompts.run.runner import Runner
from prompts.usecases.relay_tokens import decode_fields, estimate_request

log = structlog.get_logger(__name__)

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class RelayPorts:
    """What requests are handed on with."""

    relay: GuardedRelay
    model: GuardedModel
    runner: Runner
    default_models: Mapping[RelayPath, str]
    closing: set[asyncio.Future[None]] = field(default_factory=set)
    """The answers that were left, until they are closed."""


@dataclass(frozen=True, slots=True)
class RelayRequest:
    """A request as its client sent it: JSON, an object; and what it says of itself."""

    owner: str
    path: RelayPath
    body: bytes
    model: str | None
    is_stream: bool
    limits: TokenLimits = NO_TOKEN_LIMITS


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer, and what is left of a minute's tokens, where these have a limit."""

    answer: RelayedAnswer
    tokens_left: TokensLeft | None


async def open_relayed(
    request: RelayRequest, ports: RelayPorts, *, quiet_s: float
) -> tuple[Opened, AsyncGenerator[bytes, None]]:
    """The answer, and its body as it comes, if that is not whole already; see `RelayedAnswer.read`.

    It has a place among the runs, and the time of one; then the task that called this is cancelled. When that task
    ends, for whatever reason, the connection to the model's server is closed and the place is free.
    Raises UpstreamUnavailable, Draining, Overloaded, RateLimited, QuotaExceeded, and as `Relay.open`.
    """
    parts = _relay(request, ports, quiet_s=quiet_s)
    _close_after_task(parts, ports.closing)
    opened = await anext(parts)
    assert not isinstance(opened, bytes)
    if opened.answer.whole is not None:
        await anext(parts, None)
    return opened, cast(AsyncGenerator[bytes, None], parts)


async def _relay(request: RelayRequest, ports: RelayPorts, *, quiet_s: float) -> AsyncGenerator[Opened | bytes, None]:
    """First the answer itself, then its body."""
    ports.model.check()
    with ports.runner.attend(request.owner, is_kept=False), _limited(ports.runner.limits.max_run_s):
        await ports.model.list_models()
        model = ports.relay.resolve(request.model or ports.default_models[request.path])
        body = request.body if model == request.model else _put_model(request.body, model)
        with (
            await _meter(request, ports) as question,
            _told(request.path, model, ports.runner.observer, question) as call,
        ):
            opened = ports.relay.open(request.path, body, is_stream=request.is_stream, quiet_s=quiet_s)
            async with opened as answer:
                call.answer = answer
                yield Opened(answer, question.left)
                if answer.whole is None:
                    async with aclosing(answer.read()) as parts:
                        async for data in parts:
                            yield data
                call.has_ended = True


async def _meter(request: RelayRequest, ports: RelayPorts) -> AbstractContextManager[Question]:
    tokens = estimate_request(request.path, request.body) if request.limits.has_any else 0
    runner = ports.runner
    return await meter_question(
        owner=request.owner, tokens=tokens, limits=request.limits, meter=runner.meter, keep=runner.keep
    )


def _close_after_task(parts: AsyncGenerator[object, None], closing: set[asyncio.Future[None]]) -> None:
    """Close them when this task ends: left in the middle, they would wait for the garbage collector."""

    def close(_: asyncio.Task[object]) -> None:
        task = asyncio.ensure_future(parts.aclose())
        closing.add(task)  # asyncio itself keeps only a weak reference
        task.add_done_callback(closing.discard)

    _get_task().add_done_callback(close)


def _put_model(body: bytes, model: str) -> bytes:
    """The body with this model; every other value stays as it is, byte for byte."""
    return encode({**decode_fields(body), "model": model})


@contextmanager
def _limited(limit_s: float) -> Iterator[None]:
    """Cancel the task that is served after so long, even while it waits for a client that reads nothing."""
    timer = asyncio.get_running_loop().call_later(limit_s, _get_task().cancel)
    try:
        yield
    finally:
        timer.cancel()


def _get_task() -> asyncio.Task[object]:
    task = asyncio.current_task()
    assert task is not None
    return task


@contextmanager
def _told(path: RelayPath, model: str, observer: Observer, question: Question) -> Iterator["_Call"]:
    """Log the request and count it and its tokens, however it ends."""
    call, began = _Call(), time.perf_counter()
    try:
        yield call
    except ServiceError as error:
        call.error = error
        raise
    finally:
        took_s = time.perf_counter() - began
        question.used = call.count_used(question.used)
        log.info("relayed", path=path, model=model, **call.describe(), took_ms=round(took_s * 1000, 1))
        observer.notice(ModelCalled(model, took_s, call.code, call.usage, None, None))


@dataclass(slots=True)
class _Call:
    """How one request fared."""

    answer: RelayedAnswer | None = None
    error: ServiceError | None = None
    has_ended: bool = False

    @property
    def code(self) -> str | None:
        failure = self.error or (self.answer.failure if self.answer else None)
        return failure.code if failure else None

    @property
    def usage(self) -> Usage | None:
        return self.answer.usage if self.answer else None

    def count_used(self, reserved: int) -> int:
        """The tokens that the server has reported, none for a refusal; where it reports nothing, what was reserved."""
        if self.answer is None or self.answer.failure is not None:
            return 0
        return self.usage.total_tokens if self.usage else reserved

    def describe(self) -> dict[str, str | int | None]:
        """For the log. One that neither ended nor failed was left by its client."""
        usage, status = self.usage, self.answer.status if self.answer else self.error.status if self.error else None
        ending = "failed" if self.code else "completed" if self.has_ended else "left"
        tokens = (usage.input_tokens, usage.output_tokens) if usage else (None, None)
        return {
            "ending": ending,
            "status": status,
            "code": self.code,
            "input_tokens": tokens[0],
            "output_tokens": tokens[1],
        }
