"""Concurrent clients, each with its behaviour, until they are stopped."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from itertools import cycle
from typing import Any

from tests.chaos.answers import Answer, Dialogue
from tests.chaos.experiment import Experiment
from tests.support.servers import eventually

# An answer's length in words: little more than a second, so that with one kill a second few lose three runs.
SHORTEST, LONGEST = 5, 40
TURNS_A_DIALOGUE = 4
# The number of events after which a reader leaves or cancels.
EARLY = 10
# Time for these events: the run may be lost twice before.
MAX_EARLY_S = 60

Behaviour = Callable[[Experiment, asyncio.Event], Coroutine[Any, Any, None]]


async def hold_conversations(experiment: Experiment, stop: asyncio.Event) -> None:
    """Conversations of a few turns. The last turn shows whether the whole history is known."""
    client = experiment.client()
    while not stop.is_set():
        await _take_turns(experiment, stop, await client.start_conversation())


async def chain_responses(experiment: Experiment, stop: asyncio.Event) -> None:
    """The same with `previous_response_id`."""
    while not stop.is_set():
        await _take_turns(experiment, stop, Dialogue())


async def ask_with_second_reader(experiment: Experiment, stop: asyncio.Event) -> None:
    """Single answers, each with a second reader."""
    while not stop.is_set():
        await _ask_and_meanwhile(experiment, _compose(experiment), _read_as_second)


async def leave_and_return(experiment: Experiment, stop: asyncio.Event) -> None:
    """Readers that leave in the middle and come back."""
    client = experiment.client()
    while not stop.is_set():
        await client.ask(_compose(experiment, EARLY), leave_after=experiment.random.randint(2, EARLY))


async def ask_whole(experiment: Experiment, stop: asyncio.Event) -> None:
    """Whole answers and background answers in turn, in one conversation."""
    client = experiment.client()
    dialogue = await client.start_conversation()
    while not stop.is_set():
        await client.ask_whole(_compose(experiment), dialogue)
        await client.ask_in_background(_compose(experiment), dialogue)


async def cancel_answers(experiment: Experiment, stop: asyncio.Event) -> None:
    client = experiment.client()
    while not stop.is_set():
        dialogue = await client.start_conversation()
        await _ask_and_meanwhile(experiment, _compose(experiment, LONGEST), _cancel_soon, dialogue)


SHELVES = " ".join(f"shelf {number} holds part {number}," for number in range(12))
FOUND = f"In the depot at Tromsø {SHELVES} and all."
FILE = f"# Depot\n\n{FOUND} Nothing else is known."
"""A document; `FOUND` is the sentence of it that answers what is asked."""


def search_files(store_id: str) -> Behaviour:
    """Answers from a vector store with `FILE` in it, searched before the model is asked and by the model in turn."""

    async def search(experiment: Experiment, stop: asyncio.Event) -> None:
        client = experiment.client()
        for when in cycle(("always", "auto")):
            tool = {"type": "file_search", "vector_store_ids": [store_id], "eps:when": when}
            fields = {"tools": [tool], "include": ["file_search_call.results"]}
            question = experiment.compose_search()
            await client.ask(Answer(question, expected=FOUND, cites_at=len(FOUND), fields=fields))
            if stop.is_set():
                return

    return search


# Assigned to the clients in this order, over and over.
BEHAVIOURS: Sequence[Behaviour] = (
    hold_conversations,
    ask_with_second_reader,
    leave_and_return,
    chain_responses,
    ask_whole,
    hold_conversations,
    cancel_answers,
    hold_conversations,
)


@asynccontextmanager
async def under_load(
    experiment: Experiment, *, clients: int, behaviours: Sequence[Behaviour] = BEHAVIOURS
) -> AsyncIterator[None]:
    """Run this many clients; at the end each reads its last answer to the end."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        for number in range(clients):
            tasks.create_task(behaviours[number % len(behaviours)](experiment, stop))
        yield
        stop.set()


async def _take_turns(experiment: Experiment, stop: asyncio.Event, dialogue: Dialogue) -> None:
    client = experiment.client()
    while len(dialogue.turns) < TURNS_A_DIALOGUE and not stop.is_set():
        await client.ask(_compose(experiment), dialogue)
    await client.ask(experiment.compose_remark(), dialogue)


async def _ask_and_meanwhile(
    experiment: Experiment,
    question: str,
    meanwhile: Callable[[Experiment, Answer], Coroutine[Any, Any, None]],
    dialogue: Dialogue | None = None,
) -> None:
    """Ask, and run `meanwhile` while the answer is being read."""
    async with asyncio.TaskGroup() as tasks:
        await experiment.client().ask(
            question, dialogue, on_start=lambda answer: tasks.create_task(meanwhile(experiment, answer))
        )


async def _read_as_second(experiment: Experiment, answer: Answer) -> None:
    if response_id := await _wait_for_events(answer, 1):
        answer.other_readers.append(await experiment.client().follow(response_id))


async def _cancel_soon(experiment: Experiment, answer: Answer) -> None:
    response_id = await _wait_for_events(answer, experiment.random.randint(1, EARLY))
    if not response_id:
        return
    answer.is_cancelled = True
    told = await experiment.client().request("POST", f"/v1/responses/{response_id}/cancel")
    if told.status_code not in (200, 409):  # 409: it had ended already
        experiment.results.add_violation(f"cancelling {response_id} was answered with {told.status_code}: {told.text}")


async def _wait_for_events(answer: Answer, count: int) -> str:
    """The response's id once its client has seen this many events; empty when it saw none."""
    await eventually(lambda: len(answer.reader.frames) >= count or answer.reader.is_over, within_s=MAX_EARLY_S)
    return answer.response_id


def _compose(experiment: Experiment, at_least: int = SHORTEST) -> str:
    return experiment.compose_question(experiment.random.randint(at_least, LONGEST))
