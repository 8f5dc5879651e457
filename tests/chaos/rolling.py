"""A rolling restart under load, watched by clients of every kind, the plain official SDK among them."""

import asyncio

from openai import AsyncOpenAI

from tests.chaos.actions import replace_all
from tests.chaos.answers import Answer
from tests.chaos.load import ask_alone, come_and_go, talk, under_load
from tests.chaos.stage import TOKEN_S, Stage

# Of DRAIN_S: an answer that may have to be handed over, and is followed to its end by the leaving process …
WITHIN_GRACE = 1.3
# … and one that outlives both graces, whose connection is broken off.
BEYOND_GRACE = 4.0
LONG_CLIENTS = 3


async def roll(stage: Stage, *, clients: int) -> None:
    """All replicas are replaced; a connection may be cut only where an answer outlives both graces."""
    before = len(stage.ledger.cuts)
    habits = (use_the_sdk, talk, ask_alone, use_the_sdk, come_and_go)
    async with (
        under_load(stage, clients=clients, habits=habits),
        under_load(stage, clients=LONG_CLIENTS, habits=(ask_long,)),
    ):
        await replace_all(stage)
    may_be_cut = {answer.response_id for answer in stage.ledger.answers if _outlives_grace(stage, answer)}
    for cut in stage.ledger.cuts[before:]:
        if not cut.response_id or cut.response_id not in may_be_cut:
            stage.ledger.counts["failed requests"] += 1
            stage.ledger.complain(f"in the rolling restart: {cut}")


async def use_the_sdk(stage: Stage, stop: asyncio.Event) -> None:
    """The official SDK as it comes, with nothing of ours around it."""
    key = stage.http.headers["authorization"].removeprefix("Bearer ")
    async with AsyncOpenAI(base_url=f"{stage.balancer.url}/v1", api_key=key) as client:
        while not stop.is_set():
            answer = Answer(stage.question(stage.chance.randint(10, _count_words(stage, WITHIN_GRACE))))
            stage.ledger.answers.append(answer)
            stage.ledger.counts["answers through the SDK"] += 1
            try:
                await _stream(client, answer)
            except Exception as error:  # noqa: BLE001 -- whatever the SDK raises is what must not happen
                stage.ledger.counts["failed requests"] += 1
                stage.ledger.complain(f"the SDK raised {error!r} on {answer.question!r}, {answer.response_id}")


async def ask_long(stage: Stage, stop: asyncio.Event) -> None:
    """Answers that are handed over; the first one is written by the replica that goes first."""
    async with stage.open_replica(stage.house.replicas[0]) as first:
        await stage.client().ask(stage.question(_count_words(stage, BEYOND_GRACE)), first=first)
    while not stop.is_set():
        await stage.client().ask(stage.question(_count_words(stage, BEYOND_GRACE)))


async def _stream(client: AsyncOpenAI, answer: Answer) -> None:
    numbers: list[int] = []
    async for event in await client.responses.create(model="stand-in", input=answer.question, stream=True):
        numbers.append(event.sequence_number)
        if event.type == "response.created":
            answer.reading.response_id = event.response.id
        if event.type == "response.completed":
            answer.final = event.response.model_dump(mode="json", exclude_unset=True)
    if numbers != list(range(len(numbers))):
        answer.reading.faults.append(f"the SDK saw the numbers {numbers}")


def _count_words(stage: Stage, graces: float) -> int:
    return int(graces * float(stage.house.environment["DRAIN_S"]) / TOKEN_S)


def _outlives_grace(stage: Stage, answer: Answer) -> bool:
    return len(answer.expected.split()) >= _count_words(stage, BEYOND_GRACE)
