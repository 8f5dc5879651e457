"""What must be true when the noise is over: what Redis holds is what clients were told, and nothing is under way."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from prompts.adapters.redis import keys as names
from prompts.domain import ids
from tests.chaos.answers import MAX_ATTEMPTS, Answer, Thread
from tests.chaos.keys import list_keys, read_hash
from tests.chaos.reading import Reading
from tests.chaos.stage import Stage
from tests.support.servers import eventually

Thing = TypeVar("Thing")
Item = tuple[str, str]

ENDED = ("completed", "incomplete", "failed", "cancelled")
# How many requests the audit has under way at once.
AT_ONCE = 8
# A sweep every two seconds finds what is lost; what it finds may have some seconds to write.
QUIET_WITHIN_S = 30


async def audit(stage: Stage) -> None:
    """Every promise that can be looked up; what is broken becomes a complaint."""
    stage.ledger.judge()
    await _see_quiet(stage, "leases", _list_leases)
    await _see_quiet(stage, "answers of the model", _count_model_calls)
    stage.ledger.complaints += stage.house.list_crashes()
    await _check_responses(stage)
    threads = {id(answer.thread): answer.thread for answer in stage.ledger.answers if answer.thread.conversation_id}
    await in_parallel(lambda thread: _check_conversation(stage, thread), list(threads.values()))
    told = [answer for answer in stage.ledger.answers if answer.response_id]
    await in_parallel(lambda answer: _check_log(stage, answer), told)


async def in_parallel(work: Callable[[Thing], Awaitable[None]], things: Sequence[Thing]) -> None:
    """Some at a time."""

    async def do(some: Iterable[Thing]) -> None:
        for thing in some:
            await work(thing)

    await asyncio.gather(*(do(things[start::AT_ONCE]) for start in range(AT_ONCE)))


async def _see_quiet(stage: Stage, what: str, look: Callable[[Stage], Awaitable[object]]) -> None:
    async def is_quiet() -> bool:
        return not await look(stage)

    try:
        await eventually(is_quiet, within_s=QUIET_WITHIN_S)
    except AssertionError:
        left = await look(stage)
        stage.ledger.complain(f"{what} are left {QUIET_WITHIN_S} s after the last client: {left}")


async def _list_leases(stage: Stage) -> list[bytes]:
    pipeline = stage.redis.pipeline(transaction=False)
    for partition in ids.all_partitions():
        pipeline.zrange(names.leases(partition), 0, -1)
    return [response_id for leases in await pipeline.execute() for response_id in leases]


async def _count_model_calls(stage: Stage) -> int:
    async with stage.open_model() as model:
        active: int = (await model.get("/_control/active")).json()["active"]
        return active


async def _check_responses(stage: Stage) -> None:
    """Each has ended as its client was told, every question has one, and no other is there."""
    by_question = {answer.question: answer for answer in stage.ledger.answers}
    found: Counter[str] = Counter()
    for key in (await list_keys(stage.redis))["resp"]:
        stored = await read_hash(stage.redis, key)
        if b"deleted" in stored:
            continue
        question = json.loads(stored[b"input"])[0]["content"][0]["text"]
        found[question] += 1
        for fault in _judge_stored(by_question.get(question), key, stored):
            stage.ledger.complain(f"{key} to {question!r}: {fault}")
    for question in by_question:
        if found[question] != 1:
            stage.ledger.complain(f"{question!r} has {found[question]} responses")


def _judge_stored(answer: Answer | None, key: str, stored: dict[bytes, bytes]) -> Iterator[str]:
    if stored[b"status"].decode() not in ENDED:
        yield f"it is {stored[b'status']!r}"
    if answer is None:
        yield "nobody knows it"
        return
    if answer.response_id and not key.endswith(answer.response_id):
        yield f"its client was told another: {answer.response_id}"
    if answer.final is not None and answer.final != json.loads(stored.get(b"result", b"null")):
        yield f"its client was told {answer.final}, stored is {stored.get(b'result')!r}"
    if answer.is_given_up and int(stored[b"attempts"]) <= MAX_ATTEMPTS:
        yield f"it was given up after {stored[b'attempts']!r} attempts"


async def _check_conversation(stage: Stage, thread: Thread) -> None:
    """Every acknowledged item is in it once, in order; nothing else is; and it is free."""
    assert thread.conversation_id is not None
    conversation_id, expected = thread.conversation_id, thread.history
    conversation = await read_hash(stage.redis, names.conversation(conversation_id))
    if conversation[b"active"]:
        stage.ledger.complain(f"{conversation_id} is not free: {conversation[b'active']!r}")
    if (stored := await _read_timeline(stage, conversation_id, conversation)) != expected:
        stage.ledger.complain(f"{conversation_id} holds {stored}, its client was told {expected}")
    told = await _list_items(stage, conversation_id)
    if [_as_item(item) for item in told] != expected or len({item["id"] for item in told}) != len(told):
        stage.ledger.complain(f"{conversation_id} lists {told}, its client was told {expected}")


async def _read_timeline(stage: Stage, conversation_id: str, conversation: dict[bytes, bytes]) -> list[Item]:
    """The items as they lie in Redis, up to the head and beyond."""
    partition = names.prefix(ids.get_partition(conversation_id))
    entries: list[Any] = await stage.redis.xrange(f"{partition}tl:{conversation[b'timeline'].decode()}")  # type: ignore[assignment]  # a stream that is there
    return [_as_item(json.loads(fields[b"i"])) for _, fields in entries]


async def _list_items(stage: Stage, conversation_id: str) -> list[dict[str, Any]]:
    """The items as the API lists them, all pages."""
    items: list[dict[str, Any]] = []
    query, is_more = {"order": "asc", "limit": "100"}, True
    while is_more:
        page = (await stage.client().request("GET", f"/v1/conversations/{conversation_id}/items", params=query)).json()
        items += page["data"]
        query["after"], is_more = page["last_id"], page["has_more"]
    return items


def _as_item(item: dict[str, Any]) -> Item:
    return item["role"], item["content"][0]["text"]


async def _check_log(stage: Stage, answer: Answer) -> None:
    """Told again from the beginning, by whichever replica, it is what every reader saw, byte for byte."""
    again: Reading = await stage.client().follow(answer.response_id)
    if again.faults:
        stage.ledger.complain(f"{answer.response_id}, told again: {again.faults}")
    for reading in answer.readings:
        if not reading.faults and reading.frames != again.frames:
            stage.ledger.complain(f"{answer.response_id}: {_find_difference(reading.frames, again.frames)}")
    if answer.final is not None and again.final != answer.final:
        stage.ledger.complain(f"{answer.response_id} ended as {answer.final}, told again as {again.final}")


def _find_difference(seen: Sequence[bytes], told: Sequence[bytes]) -> str:
    for one, other in zip(seen, told, strict=False):
        if one != other:
            return f"a reader saw {one!r}, the log tells {other!r}"
    return f"a reader saw {len(seen)} events, the log tells {len(told)}"
