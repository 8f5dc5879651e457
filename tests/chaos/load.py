"""Clients at work, each with a habit, for as long as the chaos lasts."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

from tests.chaos.answers import Answer, Thread
from tests.chaos.stage import Stage
from tests.support.servers import eventually

# An answer's length in words: little more than a second, so that few lose their run three times to a kill a second.
SHORTEST, LONGEST = 5, 40
TURNS_A_THREAD = 4
# How far a reader has come when it goes away, or cancels, in events.
EARLY = 10
# Before that many events have come a run may have been lost twice.
MAX_EARLY_S = 60

Habit = Callable[[Stage, asyncio.Event], Coroutine[Any, Any, None]]


async def talk(stage: Stage, stop: asyncio.Event) -> None:
    """Conversations of a few turns; the last of them tells whether all of the history is known."""
    client = stage.client()
    while not stop.is_set():
        await _take_turns(stage, stop, await client.start_conversation())


async def chain(stage: Stage, stop: asyncio.Event) -> None:
    """The same by `previous_response_id`."""
    while not stop.is_set():
        await _take_turns(stage, stop, Thread())


async def ask_alone(stage: Stage, stop: asyncio.Event) -> None:
    """Single answers, each with a second reader."""
    while not stop.is_set():
        await _ask_beside(stage, _compose(stage), _read_too)


async def come_and_go(stage: Stage, stop: asyncio.Event) -> None:
    """Readers that leave in the middle and come back."""
    client = stage.client()
    while not stop.is_set():
        await client.ask(_compose(stage, EARLY), leave_after=stage.chance.randint(2, EARLY))


async def ask_whole(stage: Stage, stop: asyncio.Event) -> None:
    """Answers in one piece and in the background, by turns, in one conversation."""
    client = stage.client()
    thread = await client.start_conversation()
    while not stop.is_set():
        await client.ask_whole(_compose(stage), thread)
        await client.ask_in_background(_compose(stage), thread)


async def cancel(stage: Stage, stop: asyncio.Event) -> None:
    """Answers that their client no longer wants."""
    client = stage.client()
    while not stop.is_set():
        thread = await client.start_conversation()
        await _ask_beside(stage, _compose(stage, LONGEST), _cancel_soon, thread)


# In this order, over and over, until there are as many clients as are wanted.
HABITS: Sequence[Habit] = (talk, ask_alone, come_and_go, chain, ask_whole, talk, cancel, talk)


@asynccontextmanager
async def under_load(stage: Stage, *, clients: int, habits: Sequence[Habit] = HABITS) -> AsyncIterator[None]:
    """So many clients at work; at the end everyone sees the last answer to its end."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(habits[number % len(habits)](stage, stop))
        yield
        stop.set()


async def _take_turns(stage: Stage, stop: asyncio.Event, thread: Thread) -> None:
    client = stage.client()
    while len(thread.turns) < TURNS_A_THREAD and not stop.is_set():
        await client.ask(_compose(stage), thread)
    await client.ask(stage.remark(), thread)


async def _ask_beside(
    stage: Stage,
    question: str,
    beside: Callable[[Stage, Answer], Coroutine[Any, Any, None]],
    thread: Thread | None = None,
) -> None:
    """Something is done to the answer while it is being read."""
    async with asyncio.TaskGroup() as tasks:
        await stage.client().ask(question, thread, begun=lambda answer: tasks.create_task(beside(stage, answer)))


async def _read_too(stage: Stage, answer: Answer) -> None:
    if response_id := await _see_events(answer, 1):
        answer.readers.append(await stage.client().follow(response_id))


async def _cancel_soon(stage: Stage, answer: Answer) -> None:
    response_id = await _see_events(answer, stage.chance.randint(1, EARLY))
    if not response_id:
        return
    answer.is_cancelled = True
    told = await stage.client().request("POST", f"/v1/responses/{response_id}/cancel")
    if told.status_code not in (200, 409):  # 409: it had ended already
        stage.ledger.complain(f"cancelling {response_id} was answered with {told.status_code}: {told.text}")


async def _see_events(answer: Answer, count: int) -> str:
    """The response's id, once its client has seen so many events; empty when it saw none."""
    await eventually(lambda: len(answer.reading.frames) >= count or answer.reading.is_over, within_s=MAX_EARLY_S)
    return answer.response_id


def _compose(stage: Stage, at_least: int = SHORTEST) -> str:
    return stage.question(stage.chance.randint(at_least, LONGEST))
