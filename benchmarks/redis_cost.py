"""What a turn costs Redis: commands, CPU a token, bytes a token; beside a log with one entry a token."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import uvloop
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from benchmarks.comparison import LoadClient, Row, count_deltas
from benchmarks.load_generator import Answer
from benchmarks.scenarios import CLIENTS, create_conversations, find_response_id, turn_job
from benchmarks.servers import Servers
from prompts.adapters.redis.keys import event_log

# A token's cost is the slope between two lengths, so admission and commit are not in it.
SHORT_ASK, LONG_ASK = "Please write 1 words.", "Please write 300 words."
PACED = " [[standin token_s=0.01]]"
TURNS_A_CLIENT = 5
# Longer than the longest interval of background work (the sweeper's two seconds).
IDLE_S = 4.0
# A command with fewer calls a turn than this does not belong to turns.
RARE_CALLS = 0.5
DELTA_TEXT = re.compile(r'"delta":("(?:[^"\\]|\\.)*")')


@dataclass(frozen=True)
class Cost:
    """What Redis did during one job, minus what it does when idle."""

    calls: Counter[str]
    cpu_s: float
    seconds: float
    answers: Sequence[Answer]

    @property
    def tokens(self) -> int:
        """The number of tokens streamed."""
        return count_deltas(self.answers)


@dataclass(frozen=True)
class Snapshot:
    """Redis's own counters at one moment."""

    at: float
    cpu_s: float
    calls: Counter[str]


@dataclass(frozen=True)
class Idle:
    """CPU and calls a second while nobody sends requests."""

    cpu: float
    calls: dict[str, float]


def measure_redis(client: LoadClient, servers: Servers) -> tuple[list[Row], list[str]]:
    """Rows of the table, and sentences about the commands of a turn."""
    idle = _measure_idle(servers.redis)
    short = _run_turns(client, servers, idle, SHORT_ASK, TURNS_A_CLIENT)
    fast = _run_turns(client, servers, idle, LONG_ASK, TURNS_A_CLIENT)
    paced = _run_turns(client, servers, idle, LONG_ASK + PACED, 1)
    rows = [
        *_compare(servers.redis, idle, short, fast, "tokens as fast as they can be read"),
        *_compare(servers.redis, idle, short, paced, "a token every 10 ms"),
    ]
    return rows, [_describe(fast, "tokens as fast as they can be read"), _describe(paced, "a token every 10 ms")]


def _run_turns(client: LoadClient, servers: Servers, idle: Idle, text: str, turns: int) -> Cost:
    ids = create_conversations(client, servers.ours, CLIENTS * turns)
    job = turn_job(servers.ours, text, ids, turns=turns, keep_bodies=True)
    before = _take_snapshot(servers.redis)
    answers = client.run(job).answers
    return _subtract(_take_snapshot(servers.redis), before, idle, answers)


def _compare(redis: Redis, idle: Idle, short: Cost, long: Cost, title: str) -> Iterator[Row]:
    """The cost of our log beside one XADD a token: the same texts, as many at once, at the same rate."""
    short_cpu_s = short.cpu_s / len(short.answers) * len(long.answers)
    short_tokens = short.tokens / len(short.answers) * len(long.answers)
    ours_us = (long.cpu_s - short_cpu_s) / (long.tokens - short_tokens) * 1e6
    single, single_bytes = _write_one_entry_a_token(redis, idle, long)
    single_us = single.cpu_s / long.tokens * 1e6
    yield _row(f"Redis CPU a token, {title}", "{:.1f} µs", ours_us, single_us)
    yield _row(f"bytes a token in the log, {title}", "{:.1f}", _get_log_bytes(redis, long), single_bytes)


def _row(what: str, form: str, ours: float, single: float) -> Row:
    other = "an entry a token"
    return Row(what, form.format(ours), other, form.format(single), ours / single, is_more_better=False)


def _describe(cost: Cost, pace: str) -> str:
    turns = len(cost.answers)
    calls = {name: count / turns for name, count in cost.calls.most_common() if count / turns >= RARE_CALLS}
    scripts = sum(calls.pop(name, 0) for name in ("evalsha", "eval"))
    inside = ", ".join(f"{name} {count:.1f}" for name, count in calls.items())
    tokens = cost.tokens / turns
    return (
        f"With {pace}, a turn of {tokens:.0f} tokens is {scripts:.1f} script calls; commands in and beside: {inside}."
    )


def _get_log_bytes(redis: Redis, cost: Cost) -> float:
    """Bytes a token in the logs of the job's first turns."""
    sample = cost.answers[:CLIENTS]
    keys = [event_log(find_response_id(answer.body)) for answer in sample]
    return sum(_get_bytes(redis, key) for key in keys) / count_deltas(sample)


def _get_bytes(redis: Redis, key: str) -> int:
    size = redis.memory_usage(key, samples=0)
    assert size is not None, f"{key} is gone"
    return size


def _write_one_entry_a_token(redis: Redis, idle: Idle, cost: Cost) -> tuple[Cost, float]:
    """Write one XADD a token, with as many writers as there were clients, in the time of our turns."""
    texts = [[msgspec.json.decode(text) for text in DELTA_TEXT.findall(answer.body)] for answer in cost.answers]
    lanes = [[token for text in texts[start::CLIENTS] for token in text] for start in range(CLIENTS)]
    keys = [f"single:{number}" for number in range(CLIENTS)]
    redis.delete(*keys)
    before = _take_snapshot(redis)
    uvloop.run(_write_lanes(redis, keys, lanes, cost.seconds))
    written = _subtract(_take_snapshot(redis), before, idle, cost.answers)
    # A turn has a log of its own, so the size is that of one turn's entries.
    redis.delete(keys[0])
    for number, token in enumerate(texts[0]):
        redis.xadd(keys[0], {"s": _pack(token)}, id=f"0-{number + 1}")
    return written, _get_bytes(redis, keys[0]) / len(texts[0])


async def _write_lanes(redis: Redis, keys: Sequence[str], lanes: Sequence[Sequence[str]], seconds: float) -> None:
    kwargs: dict[str, Any] = redis.connection_pool.connection_kwargs
    pool = AsyncRedis(host=kwargs["host"], port=kwargs["port"], db=kwargs["db"])
    async with pool, asyncio.TaskGroup() as tasks:
        for key, tokens in zip(keys, lanes, strict=True):
            tasks.create_task(_write_lane(pool, key, tokens, seconds))


async def _write_lane(redis: AsyncRedis, key: str, tokens: Sequence[str], seconds: float) -> None:
    began = time.monotonic()
    for number, token in enumerate(tokens):
        early_s = began + seconds * number / len(tokens) - time.monotonic()
        if early_s > 0:
            await asyncio.sleep(early_s)
        await redis.xadd(key, {"s": _pack(token)}, id=f"0-{number + 1}")


def _pack(token: str) -> bytes:
    """One token in the form the log holds it."""
    return msgspec.json.encode([token])


def _measure_idle(redis: Redis) -> Idle:
    before = _take_snapshot(redis)
    time.sleep(IDLE_S)
    after = _take_snapshot(redis)
    seconds = after.at - before.at
    calls = {name: count / seconds for name, count in (after.calls - before.calls).items()}
    return Idle((after.cpu_s - before.cpu_s) / seconds, calls)


def _take_snapshot(redis: Redis) -> Snapshot:
    info: dict[str, Any] = redis.info("everything")
    calls = {name.removeprefix("cmdstat_"): entry["calls"] for name, entry in info.items() if _is_command(name)}
    return Snapshot(time.monotonic(), info["used_cpu_user"] + info["used_cpu_sys"], Counter(calls))


def _is_command(name: str) -> bool:
    return name.startswith("cmdstat_")


def _subtract(after: Snapshot, before: Snapshot, idle: Idle, answers: Sequence[Answer]) -> Cost:
    seconds = after.at - before.at
    calls = after.calls - before.calls
    for name, rate in idle.calls.items():
        calls[name] -= round(rate * seconds)
    return Cost(+calls, after.cpu_s - before.cpu_s - idle.cpu * seconds, seconds, answers)
