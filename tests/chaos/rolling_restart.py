"""A rolling restart under load, seen by clients of every kind, among them the plain official SDK."""

import asyncio
from collections.abc import Sequence

from openai import AsyncOpenAI

from tests.chaos.actions import replace_all_replicas
from tests.chaos.answers import Answer
from tests.chaos.experiment import TOKEN_S, Experiment
from tests.chaos.workload import Behaviour, ask_with_second_reader, hold_conversations, leave_and_return, under_load

# In units of DRAIN_S: an answer that may be handed over; the leaving process follows it to its end …
WITHIN_GRACE = 1.3
# … and one that outlives the drain and the following; its connection is aborted.
BEYOND_GRACE = 4.0
LONG_CLIENTS = 3


async def restart_under_load(experiment: Experiment, *, clients: int, more: Sequence[Behaviour] = ()) -> None:
    """Replace all replicas. A connection may be lost only where an answer outlives the drain and the following.

    `more` are behaviours of clients besides the usual ones.
    """
    before = len(experiment.results.lost_connections)
    behaviours = (use_the_sdk, hold_conversations, ask_with_second_reader, use_the_sdk, leave_and_return, *more)
    async with (
        under_load(experiment, clients=clients, behaviours=behaviours),
        under_load(experiment, clients=LONG_CLIENTS, behaviours=(ask_long,)),
    ):
        await replace_all_replicas(experiment)
    may_be_lost = {answer.response_id for answer in experiment.results.answers if _outlives_grace(experiment, answer)}
    for lost in experiment.results.lost_connections[before:]:
        if not lost.response_id or lost.response_id not in may_be_lost:
            experiment.results.counts["failed requests"] += 1
            experiment.results.add_violation(f"in the rolling restart: {lost}")


async def use_the_sdk(experiment: Experiment, stop: asyncio.Event) -> None:
    """The official SDK as it comes, without our client code."""
    key = experiment.http.headers["authorization"].removeprefix("Bearer ")
    async with AsyncOpenAI(base_url=f"{experiment.balancer.url}/v1", api_key=key) as client:
        while not stop.is_set():
            answer = Answer(
                experiment.compose_question(experiment.random.randint(10, _count_words(experiment, WITHIN_GRACE)))
            )
            experiment.results.answers.append(answer)
            experiment.results.counts["answers through the SDK"] += 1
            try:
                await _stream(client, answer)
            except Exception as error:  # noqa: BLE001 -- any exception of the SDK is a violation
                experiment.results.counts["failed requests"] += 1
                experiment.results.add_violation(
                    f"the SDK raised {error!r} on {answer.question!r}, {answer.response_id}"
                )


async def ask_long(experiment: Experiment, stop: asyncio.Event) -> None:
    """Answers that are handed over. The replica that leaves first writes the first one."""
    async with experiment.open_replica(experiment.cluster.replicas[0]) as first:
        await experiment.client().ask(experiment.compose_question(_count_words(experiment, BEYOND_GRACE)), first=first)
    while not stop.is_set():
        await experiment.client().ask(experiment.compose_question(_count_words(experiment, BEYOND_GRACE)))


async def _stream(client: AsyncOpenAI, answer: Answer) -> None:
    numbers: list[int] = []
    async for event in await client.responses.create(model="stand-in", input=answer.question, stream=True):
        numbers.append(event.sequence_number)
        if event.type == "response.created":
            answer.reader.response_id = event.response.id
        if event.type == "response.completed":
            answer.final = event.response.model_dump(mode="json", exclude_unset=True)
    if numbers != list(range(len(numbers))):
        answer.reader.faults.append(f"the SDK saw the numbers {numbers}")


def _count_words(experiment: Experiment, graces: float) -> int:
    return int(graces * float(experiment.cluster.environment["DRAIN_S"]) / TOKEN_S)


def _outlives_grace(experiment: Experiment, answer: Answer) -> bool:
    return len(answer.expected.split()) >= _count_words(experiment, BEYOND_GRACE)
