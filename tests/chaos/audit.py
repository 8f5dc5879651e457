"""The audit after the chaos: Redis holds exactly what clients were told, and no work is left."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

from prompts.adapters.redis import keys
from prompts.domain import ids
from tests.chaos.answers import MAX_ATTEMPTS, Answer, Dialogue
from tests.chaos.event_reader import EventReader
from tests.chaos.experiment import Experiment
from tests.chaos.redis_keys import list_keys, read_hash
from tests.support import oracle
from tests.support.releases import leave_out_added
from tests.support.servers import eventually

Thing = TypeVar("Thing")
Item = tuple[str, str]

ENDED = ("completed", "incomplete", "failed", "cancelled")
# Concurrent requests of the audit.
AT_ONCE = 8
# A sweep finds a lost response within two seconds; its answer may take some seconds more.
NOTHING_LEFT_WITHIN_S = 60


async def audit(experiment: Experiment) -> None:
    """Check every promise that can be looked up; each broken one becomes a violation."""
    experiment.results.check_answers()
    await _check_nothing_left(experiment, "leases", _list_leases)
    await _check_nothing_left(experiment, "answers of the model", _count_model_calls)
    experiment.results.violations += experiment.cluster.list_crashes()
    await _check_responses(experiment)
    dialogues = {
        id(answer.dialogue): answer.dialogue for answer in experiment.results.answers if answer.dialogue.conversation_id
    }
    await in_parallel(lambda dialogue: _check_conversation(experiment, dialogue), list(dialogues.values()))
    told = [answer for answer in experiment.results.answers if answer.response_id]
    await in_parallel(lambda answer: _check_log(experiment, answer), told)


async def in_parallel(work: Callable[[Thing], Awaitable[None]], things: Sequence[Thing]) -> None:
    """Do the work for all things, `AT_ONCE` at a time."""

    async def do(some: Iterable[Thing]) -> None:
        for thing in some:
            await work(thing)

    await asyncio.gather(*(do(things[start::AT_ONCE]) for start in range(AT_ONCE)))


async def _check_nothing_left(
    experiment: Experiment, what: str, look: Callable[[Experiment], Awaitable[object]]
) -> None:
    async def is_quiet() -> bool:
        return not await look(experiment)

    try:
        await eventually(is_quiet, within_s=NOTHING_LEFT_WITHIN_S)
    except AssertionError:
        left = await look(experiment)
        experiment.results.add_violation(f"{what} are left {NOTHING_LEFT_WITHIN_S} s after the last client: {left}")


async def _list_leases(experiment: Experiment) -> list[bytes]:
    pipeline = experiment.redis.pipeline(transaction=False)
    for partition in ids.all_partitions():
        pipeline.zrange(keys.leases(partition), 0, -1)
    return [response_id for leases in await pipeline.execute() for response_id in leases]


async def _count_model_calls(experiment: Experiment) -> int:
    async with experiment.open_model() as model:
        active: int = (await model.get("/_control/active")).json()["active"]
        return active


async def _check_responses(experiment: Experiment) -> None:
    """Each response ended as its client was told; each question has one; there is no other."""
    by_question = {answer.question: answer for answer in experiment.results.answers}
    found: Counter[str] = Counter()
    for key in (await list_keys(experiment.redis))["resp"]:
        stored = await read_hash(experiment.redis, key)
        if b"deleted" in stored:
            continue
        question = json.loads(stored[b"input"])[0]["content"][0]["text"]
        found[question] += 1
        for fault in _find_stored_faults(by_question.get(question), key, stored):
            experiment.results.add_violation(f"{key} to {question!r}: {fault}")
    for question in by_question:
        if found[question] != 1:
            experiment.results.add_violation(f"{question!r} has {found[question]} responses")


def _find_stored_faults(answer: Answer | None, key: str, stored: dict[bytes, bytes]) -> Iterator[str]:
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


async def _check_conversation(experiment: Experiment, dialogue: Dialogue) -> None:
    """The conversation holds every acknowledged item once, in order, nothing else, and is not locked."""
    assert dialogue.conversation_id is not None
    conversation_id, expected = dialogue.conversation_id, dialogue.history
    conversation = await read_hash(experiment.redis, keys.conversation(conversation_id))
    if conversation[b"active"]:
        experiment.results.add_violation(f"{conversation_id} is not free: {conversation[b'active']!r}")
    if (stored := await _read_timeline(experiment, conversation_id, conversation)) != expected:
        experiment.results.add_violation(f"{conversation_id} holds {stored}, its client was told {expected}")
    told = await _list_items(experiment, conversation_id)
    if [_as_item(item) for item in told] != expected or len({item["id"] for item in told}) != len(told):
        experiment.results.add_violation(f"{conversation_id} lists {told}, its client was told {expected}")


async def _read_timeline(experiment: Experiment, conversation_id: str, conversation: dict[bytes, bytes]) -> list[Item]:
    """The items in Redis, including any beyond the head."""
    partition = keys.prefix(ids.get_partition(conversation_id))
    entries: list[Any] = await experiment.redis.xrange(f"{partition}tl:{conversation[b'timeline'].decode()}")  # type: ignore[assignment]  # a stream that is there
    return [_as_item(json.loads(fields[b"i"])) for _, fields in entries]


async def _list_items(experiment: Experiment, conversation_id: str) -> list[dict[str, Any]]:
    """The items from the API, all pages."""
    items: list[dict[str, Any]] = []
    query, is_more = {"order": "asc", "limit": "100"}, True
    while is_more:
        page = (
            await experiment.client().request("GET", f"/v1/conversations/{conversation_id}/items", params=query)
        ).json()
        items += page["data"]
        query["after"], is_more = page["last_id"], page["has_more"]
    return items


def _as_item(item: dict[str, Any]) -> Item:
    return item["role"], item["content"][0]["text"]


async def _check_log(experiment: Experiment, answer: Answer) -> None:
    """Any replica replays exactly the bytes that every reader saw."""
    again: EventReader = await experiment.client().follow(answer.response_id)
    if again.faults:
        experiment.results.add_violation(f"{answer.response_id}, told again: {again.faults}")
    for reader in answer.all_readers:
        if not reader.faults and _compare(reader.frames) != _compare(again.frames):
            experiment.results.add_violation(f"{answer.response_id}: {_find_difference(reader.frames, again.frames)}")
    if answer.final is not None and _compare_final(again.final) != _compare_final(answer.final):
        experiment.results.add_violation(f"{answer.response_id} ended as {answer.final}, told again as {again.final}")


def _compare(shown: Sequence[bytes]) -> Sequence[bytes]:
    """What is compared of it: where the last release serves as well, what both versions show."""
    return [leave_out_added(each) for each in shown] if oracle.MAY_BE_OF_RELEASE else shown


def _compare_final(final: dict[str, Any] | None) -> dict[str, Any] | None:
    """The same of the last response."""
    if not oracle.MAY_BE_OF_RELEASE or final is None or not final["usage"]:
        return final
    details = {**final["usage"]["input_tokens_details"], "cache_write_tokens": 0}
    return {**final, "usage": {**final["usage"], "input_tokens_details": details}}


def _find_difference(seen: Sequence[bytes], told: Sequence[bytes]) -> str:
    for one, other in zip(seen, told, strict=False):
        if one != other:
            return f"a reader saw {one!r}, the log tells {other!r}"
    return f"a reader saw {len(seen)} events, the log tells {len(told)}"
