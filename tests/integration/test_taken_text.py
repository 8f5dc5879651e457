"""Text that a run takes as it arrives: what it costs, and what becomes of it when something happens in between."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec.structs import replace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from typing_extensions import override

from prompts.adapters.measured_model import MeasuredModel
from prompts.adapters.openai.streams import MAX_SIGNALS_AT_ONCE, Patience
from prompts.adapters.opentelemetry.chat_model import TracedModel
from prompts.domain.signals import BegunAnew, Signal, Text
from prompts.domain.usage import Usage
from prompts.errors import StaleRun
from prompts.ports.observer import FirstTokenCame, ModelCalled
from prompts.run.answer_size import MAX_ANSWER_BYTES
from prompts.run.answering import Answering
from prompts.run.breaker import Breaker
from prompts.run.brief import Brief
from prompts.run.follower_buffer import MAX_AT_ONCE
from prompts.run.guarded_model import GuardedModel
from prompts.run.run import Run
from tests.contract.conftest import PROTOCOLS, open_model
from tests.support.counting import counting_functions
from tests.support.fakes.observer import FakeObserver
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import Harness, written
from tests.support.sample_turn import make_brief
from tests.support.sealer import SEALER
from tests.support.told_model import ToldModel

MAX_S = 10
TOKENS = 100
# Of our functions, for a token that comes alone. Events of Responses are decoded one by one.
MAX_CALLS = {"chat_completions": 33, "responses": 39}
PATIENCE = Patience(connect_s=MAX_S, first_token_s=MAX_S, silence_s=MAX_S)


class Steps(Coroutine[Any, Any, None]):
    """A coroutine whose steps are counted: each is one of its task's, and resumes all that it waits in."""

    def __init__(self, work: Coroutine[Any, Any, None]) -> None:
        self._work = work
        self.count = 0

    @override
    def send(self, value: Any) -> Any:
        self.count += 1
        return self._work.send(value)

    @override
    def throw(self, *error: Any) -> Any:
        self.count += 1
        return self._work.throw(*error)

    @override
    def close(self) -> None:
        self._work.close()

    @override
    def __await__(self) -> Generator[Any, Any, None]:
        return self._work.__await__()


@dataclass
class Turn:
    """A run of one answer, with all that stands between it and the model's server."""

    told: ToldModel
    observer: FakeObserver = field(default_factory=FakeObserver)
    spans: InMemorySpanExporter = field(default_factory=InMemorySpanExporter)
    harness: Harness = field(default_factory=Harness)
    run: Run = field(init=False)
    steps: Steps = field(init=False)
    task: asyncio.Task[None] = field(init=False)

    @property
    def store(self) -> FakeResponseStore:
        return self.harness.store

    @property
    def signals(self) -> list[Signal]:
        """Those of the log."""
        return [signal for append in self.store.appends for signal in append.signals]

    async def say(self, text: str) -> None:
        """The model says it, and the log has it."""
        so_far = written(self.store)
        await self.told.say(self.told.text(text))
        await self.log_has(so_far + text)

    async def log_has(self, text: str) -> None:
        while written(self.store) != text:
            self.store.called.clear()
            await self.store.called.wait()

    async def end(self) -> Any:
        """The model ends; the response, as it has ended."""
        await self.told.end()
        await self.task
        assert self.run.outcome is not None
        return self.run.outcome.response


@pytest.fixture(params=PROTOCOLS)
def protocol(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def started(
    protocol: str, *, brief: Brief | None = None, max_bytes: int = MAX_ANSWER_BYTES, has_spans: bool = False
) -> AsyncIterator[Turn]:
    """A turn whose model has said nothing yet."""
    turn = Turn(ToldModel(protocol))
    brief = brief or make_brief()
    turn.harness.place(brief)
    async with asyncio.timeout(MAX_S), turn.told.started(), open_model(protocol, turn.told.base_url, PATIENCE) as model:
        provider = TracerProvider(shutdown_on_exit=False)
        provider.add_span_processor(SimpleSpanProcessor(turn.spans))
        measured = MeasuredModel(model, turn.observer)
        traced = TracedModel(measured, provider.get_tracer("t"), base_url=turn.told.base_url, has_content=True)
        guarded = GuardedModel(
            traced if has_spans else measured, Breaker("model", max_failures=1, observer=turn.observer)
        )
        answering = Answering(brief, model=guarded, sealer=SEALER, max_bytes=max_bytes)
        turn.run = Run(brief, store=turn.store, observer=turn.observer, lease_s=MAX_S)
        turn.steps = Steps(turn.run.execute(answering, max_run_s=MAX_S))
        turn.task = asyncio.create_task(turn.steps)
        yield turn
        turn.task.cancel()
        await asyncio.gather(turn.task, return_exceptions=True)


def get_text(response: Any) -> str:
    return "".join(part.text for item in response.output for part in item.content)


async def test_a_token_costs_few_calls(protocol: str) -> None:
    """Of our functions, from the bytes that the model's server sends to the group in the log."""
    async with started(protocol) as turn:
        for _ in range(3):
            await turn.say("word ")
        with counting_functions() as called:
            for _ in range(TOKENS):
                await turn.say("word ")
        await turn.end()

    ours = {name: count for name, count in called.items() if name.startswith("prompts.")}
    assert sum(ours.values()) < MAX_CALLS[protocol] * TOKENS, ours


@pytest.mark.parametrize("has_spans", [False, True], ids=["untraced", "traced"])
async def test_a_paced_token_resumes_nothing_on_the_models_side(protocol: str, has_spans: bool) -> None:
    async with started(protocol, has_spans=has_spans) as turn:
        await turn.say("first ")
        await turn.say("second ")
        before = turn.steps.count
        for number in range(TOKENS):
            await turn.say(f"{number} ")
        assert turn.steps.count == before
        ended = await turn.end()
    assert get_text(ended) == "first second " + "".join(f"{number} " for number in range(TOKENS))
    [first] = [each for each in turn.observer.noticed if isinstance(each, FirstTokenCame)]
    [called] = [each for each in turn.observer.noticed if isinstance(each, ModelCalled)]
    assert first.response_id == ended.id
    assert called.code is None
    if has_spans:
        [span] = turn.spans.get_finished_spans()
        assert get_text(ended) in str((span.attributes or {})["gen_ai.output.messages"])


async def test_a_burst_goes_past_it_as_well(protocol: str) -> None:
    async with started(protocol) as turn:
        await turn.say("first ")
        await turn.say("second ")
        before = turn.steps.count
        words = [f"{number} " for number in range(TOKENS)]
        await turn.told.say(*map(turn.told.text, words))
        await turn.log_has("first second " + "".join(words))
        assert turn.steps.count == before


async def test_a_model_that_is_faster_than_the_log_waits_and_nothing_is_lost(protocol: str) -> None:
    async with started(protocol) as turn:
        await turn.say("first ")
        turn.store.append_fates = [gate := asyncio.Event()]
        words = [f"{number} " for number in range(5 * MAX_AT_ONCE)]
        for word in words:
            await turn.told.say(turn.told.text(word))
            await asyncio.sleep(0)
        await asyncio.sleep(0.3)
        assert MAX_AT_ONCE <= len(turn.run._pending) < MAX_AT_ONCE + MAX_SIGNALS_AT_ONCE
        gate.set()
        ended = await turn.end()
        assert get_text(ended) == "first " + "".join(words)


async def test_an_answer_that_becomes_too_large_keeps_what_came_before(protocol: str) -> None:
    async with started(protocol, max_bytes=12) as turn:
        await turn.say("first ")
        await turn.say("two ")
        await turn.told.say(turn.told.text("a"), turn.told.text("b"), turn.told.text("c"), turn.told.text("d"))
        await turn.task
        await turn.told.left.wait()
    assert turn.run.outcome is not None
    assert turn.run.error is not None
    assert turn.run.error.code == "answer_too_large"
    assert get_text(turn.run.outcome.response) == "first two ab"


async def test_a_process_that_leaves_hands_over_what_it_has_taken(protocol: str) -> None:
    async with started(protocol) as turn:
        await turn.say("first ")
        turn.store.append_fates = [gate := asyncio.Event()]
        for word in ("two ", "three "):
            turn.store.called.clear()
            await turn.told.say(turn.told.text(word))
            await asyncio.sleep(0.1)
        assert turn.run._pending == [Text("three ")]
        turn.task.cancel()
        await turn.told.say(turn.told.text("never "))
        await turn.told.left.wait()
        gate.set()
        await asyncio.gather(turn.task, return_exceptions=True)
    assert turn.run.is_handed_over
    assert written(turn.store) == "first two three "


async def test_a_run_that_is_let_go_takes_nothing_more(protocol: str) -> None:
    async with started(protocol) as turn:
        await turn.say("first ")
        await turn.say("two ")
        turn.run.let_go()
        turn.task.cancel()
        await turn.told.say(turn.told.text("never "))
        await turn.told.left.wait()
        await asyncio.gather(turn.task, return_exceptions=True)
    assert written(turn.store) == "first two "
    assert not turn.run._pending


async def test_a_log_that_is_anothers_ends_it_while_it_takes(protocol: str) -> None:
    async with started(protocol) as turn:
        await turn.say("first ")
        turn.store.append_fates = [StaleRun()]
        await turn.told.say(turn.told.text("never "))
        await turn.task
        await turn.told.left.wait()
    assert turn.run.outcome is None
    assert written(turn.store) == "first "


async def test_a_run_that_begins_anew_says_so_before_it_takes_anything(protocol: str) -> None:
    brief = make_brief(epoch="2")
    lost = Usage(1, 2, 3)
    async with started(protocol, brief=replace(brief, lost=lost)) as turn:
        await turn.say("first ")
        await turn.say("two ")
        await turn.end()
    assert turn.signals[:3] == [BegunAnew(lost), Text("first "), Text("two ")]
