"""What a token costs a run and its reader, counted: tasks, timers, writes, and what stays in memory."""

import asyncio
import gc
import tracemalloc
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any

import pytest

from prompts.answer.events import Event
from prompts.domain.signals import Text
from prompts.ports.event_log import Group
from prompts.ports.observer import UNOBSERVED
from prompts.run.answering import Answering
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from tests.support.fakes.chat_model import ScriptedModel, Step
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import MAX_S, STOP
from tests.support.sample_turn import make_brief
from tests.support.sealer import SEALER

# Before these everything that a run makes once has been made.
WARM, TOKENS = 100, 600


class QuickStore(FakeResponseStore):
    """Acknowledges each group one pass of the event loop later, and keeps nothing."""

    writes = 0

    def append(  # type: ignore[override]
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, is_urgent: bool = False
    ) -> asyncio.Future[None]:
        """See `ResponseStore.append`."""
        self.writes += 1
        loop = asyncio.get_running_loop()
        acknowledged: asyncio.Future[None] = loop.create_future()
        loop.call_soon(acknowledged.set_result, None)
        return acknowledged

    async def commit(self, *_: Any, **__: Any) -> None:
        """See `ResponseStore.commit`."""


@dataclass
class Counts:
    """What the event loop was asked for, and what stayed."""

    tasks: int = 0
    timers: int = 0
    writes: int = 0
    memory: list[int] = field(default_factory=list)


@pytest.fixture
async def counts() -> Counts:
    """Counts in this test's event loop."""
    counted, loop = Counts(), asyncio.get_running_loop()
    call_at: Any = loop.call_at

    def make_task(loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **named: Any) -> asyncio.Task[Any]:
        counted.tasks += 1
        return asyncio.Task(work, loop=loop, **named)

    def make_timer(*args: Any, **named: Any) -> asyncio.TimerHandle:
        counted.timers += 1
        timer: asyncio.TimerHandle = call_at(*args, **named)
        return timer

    loop.set_task_factory(make_task)  # type: ignore[arg-type]  # typeshed has another kind of coroutine
    loop.call_at = make_timer  # type: ignore[method-assign]  # the loop of this test alone
    return counted


async def play(counts: Counts, *, tokens: int) -> None:
    """One run and its reader, a token a time; `counts` has what came behind the first WARM tokens."""
    store, gates = QuickStore(), [asyncio.Event() for _ in range(tokens)]
    steps: list[Step] = [step for gate in gates for step in (gate, [Text("word ")])]
    brief = make_brief()
    run = Run(brief, store=store, observer=UNOBSERVED, lease_s=10)
    answering = Answering(brief, model=ScriptedModel([*steps, [STOP]]), sealer=SEALER)
    running = asyncio.create_task(run.execute(answering, max_run_s=MAX_S))
    reader = run.follow(after=-1, quiet=Quiet(MAX_S))
    await read_to(reader, 1)
    for number, gate in enumerate(gates):
        if number == WARM:
            counts.tasks, counts.timers, store.writes = 0, 0, 0
        gate.set()
        await read_to(reader, 4 + number)  # output_item.added and content_part.added come before the first
        if number % WARM == 0 and tracemalloc.is_tracing():
            gc.collect()
            counts.memory.append(tracemalloc.get_traced_memory()[0])
    counts.writes = store.writes
    async for _ in reader:
        pass
    await running


async def read_to(reader: Any, number: int) -> None:
    """Read on to the event of this number."""
    events: list[Event] = []
    while not events or events[-1].sequence_number < number:
        events = await anext(reader)


async def test_a_token_costs_no_task_no_timer_and_one_write(counts: Counts) -> None:
    await play(counts, tokens=TOKENS)

    assert counts.tasks == 0
    assert counts.timers < 60, "those of the alarms, which look every 50 ms"
    assert counts.writes == TOKENS - WARM - 1, "the last one goes with the end"


async def test_a_long_answer_takes_no_more_memory_a_token_than_its_text(counts: Counts) -> None:
    """20 bytes of each group are kept for a fail-over, the text itself for the end; an object has 50 at least."""
    tracemalloc.start()
    try:
        await play(counts, tokens=40 * WARM)
    finally:
        tracemalloc.stop()

    growth = (counts.memory[-1] - counts.memory[10]) / (WARM * (len(counts.memory) - 11))
    assert growth < 50
