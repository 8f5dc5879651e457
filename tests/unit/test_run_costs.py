"""What a token costs a run and its reader, counted: tasks, timers, writes, and what stays in memory."""

import asyncio
import gc
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from prompts.answer.events import Event
from prompts.domain.signals import Text
from prompts.ports.event_log import Group
from prompts.ports.observer import UNOBSERVED
from prompts.run.answering import Answering
from prompts.run.quiet import Quiet
from prompts.run.run import Run
from tests.support.counting import counting_calls, counting_work
from tests.support.fakes.chat_model import ScriptedModel, Step
from tests.support.fakes.response_store import FakeResponseStore
from tests.support.runner_harness import MAX_S, STOP, follow_run
from tests.support.sample_turn import make_brief
from tests.support.sealer import SEALER

# Before these everything that a run makes once has been made.
WARM = 100


class QuickStore(FakeResponseStore):
    """Acknowledges each group one pass of the event loop later, and keeps nothing."""

    writes = 0

    def append(
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


class Streaming:
    """A run and its reader, which go on a token at a time."""

    def __init__(self, reader: AsyncIterator[Any], gates: list[asyncio.Event], store: QuickStore) -> None:
        self._reader = reader
        self._gates = gates
        self.store = store
        self.tokens = 0

    async def go_on(self, tokens: int) -> None:
        """The model says so many tokens, each when the reader has had the one before."""
        for _ in range(tokens):
            self._gates[self.tokens].set()
            # Before the first come created, in_progress, output_item.added and content_part.added.
            await self.read_to(4 + self.tokens)
            self.tokens += 1

    async def read_to(self, number: int) -> None:
        """Read on to the event of this number."""
        events: list[Event] = []
        while not events or events[-1].sequence_number < number:
            events = await anext(self._reader)


@asynccontextmanager
async def streaming(tokens: int) -> AsyncIterator[Streaming]:
    """A run of so many tokens, and one more with which it ends."""
    store, gates = QuickStore(), [asyncio.Event() for _ in range(tokens + 1)]
    steps: list[Step] = []
    for gate in gates:
        steps += [gate, [Text("word ")]]
    brief = make_brief()
    run = Run(brief, store=store, observer=UNOBSERVED, lease_s=10)
    answering = Answering(brief, model=ScriptedModel([*steps, [STOP]]), sealer=SEALER)
    running = asyncio.create_task(run.execute(answering, max_run_s=60))
    reader = follow_run(run, after=-1, quiet=Quiet(MAX_S))
    stream = Streaming(reader, gates, store)
    await stream.read_to(1)
    yield stream
    gates[-1].set()
    async for _ in reader:
        pass
    await running


async def test_a_token_costs_no_task_no_timer_and_one_write() -> None:
    async with streaming(6 * WARM) as stream:
        await stream.go_on(WARM)
        with counting_work() as work:
            await stream.go_on(5 * WARM)

    assert not work.tasks
    assert len(work.timers) < WARM, "those of the alarms, which look every 50 ms"
    assert stream.store.writes == 6 * WARM, "the last token goes with the end"


async def test_a_long_answer_takes_no_more_memory_a_token_than_its_text() -> None:
    """Seven bytes and the text of each group are kept for a fail-over, the text itself for the end."""
    tracemalloc.start()
    try:
        async with streaming(40 * WARM) as stream:
            await stream.go_on(10 * WARM)
            before = _measure()
            await stream.go_on(30 * WARM)
            growth = (_measure() - before) / (30 * WARM)
    finally:
        tracemalloc.stop()

    assert growth < 30, "an object has 50 at least"


async def answer_at_once() -> None:
    """A turn whose answer comes in one piece, and its reader."""
    brief = make_brief()
    run = Run(brief, store=QuickStore(), observer=UNOBSERVED, lease_s=10)
    answering = Answering(brief, model=ScriptedModel([[Text("word ")], [STOP]]), sealer=SEALER)
    running = asyncio.create_task(run.execute(answering, max_run_s=60))
    async for _ in follow_run(run, after=-1, quiet=Quiet(MAX_S)):
        pass
    await running


async def test_a_turn_costs_one_task_no_timer_and_leaves_nothing() -> None:
    for _ in range(WARM):
        await answer_at_once()
    gc.collect()
    with counting_work() as work:
        before = sys.getallocatedblocks()
        for _ in range(WARM):
            await answer_at_once()
        gc.collect()
        left = sys.getallocatedblocks() - before

    assert len(work.tasks) == WARM, "the run's"
    assert len(work.timers) < WARM / 2, "those of the alarms, which look every 50 ms"
    assert left < 4 * WARM, "what the counting itself keeps of each"


async def test_a_turn_leaves_no_circles() -> None:
    """They would stay in memory until Python looks for them, and the more there are, the more often it looks."""
    for _ in range(3):
        await answer_at_once()
    gc.collect()
    gc.disable()
    try:
        for _ in range(WARM):
            await answer_at_once()
        assert gc.collect() < WARM
    finally:
        gc.enable()


async def test_a_turn_costs_few_calls() -> None:
    """Of Python functions and of those in C, from the run's start to the reader's end, without the edge and Redis."""
    for _ in range(3):
        await answer_at_once()
    with counting_calls() as calls:
        for _ in range(10):
            await answer_at_once()

    assert calls.count < 10 * 650


async def test_a_turn_takes_little_memory_while_it_runs() -> None:
    """No more than the response in its events, written and read once, and what a run is made of."""
    for _ in range(3):
        await answer_at_once()
    tracemalloc.start()
    try:
        await answer_at_once()
        before = _measure()
        tracemalloc.reset_peak()
        await answer_at_once()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()

    assert peak < 60_000


def _measure() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]
