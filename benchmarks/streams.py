"""Streams at the pace of a real model: what a token costs, how even they are, and how many one worker carries."""

import math
import time
from dataclasses import dataclass
from typing import Any

from benchmarks.contestants import Bench, Contestant
from benchmarks.load_client import Report

TOKENS_A_S = 20
NOMINAL_MS = 1000 / TOKENS_A_S
# A stream is even when no more than a hundredth of its gaps are longer than this.
EVEN_GAP_MS = 1.3 * NOMINAL_MS
# Streams begin one after another: so many a second.
BEGINNINGS_A_S = 200
SETTLE_S = 0.5
# Twice the longest interval of background work, the sweeper's.
IDLE_S = 4.0
# What was said before goes to the archive for a while, slowly beside streams: Valkey is idle only when its share has
# stopped falling.
MAX_RESTS = 20
STILL = 0.9
# A worker that carries a thousand streams must let one owner have them: the last tenth is for others.
MANY_RUNS = {"MAX_RUNS": "1200"}


@dataclass(frozen=True)
class Usage:
    """CPU seconds of the server and, as it counts them itself, of Valkey; and the size of the append-only file."""

    server_s: float
    redis_s: float
    aof_bytes: int


@dataclass(frozen=True)
class Streams:
    """One round of paced streams: costs of its window, which begins when all have begun."""

    count: int
    report: Report
    cpu_us: float
    redis_us: float
    aof_bytes: float

    @property
    def are_even(self) -> bool:
        """Whether the worker carries them: none is refused, and their tokens come evenly."""
        return not self.report.failures and self.report.gap_ms.p99 <= EVEN_GAP_MS


def measure_streams(
    bench: Bench,
    contestant: Contestant,
    count: int,
    *,
    seconds: float,
    has_probes: bool = False,
    idle_redis: float = 0.0,
) -> Streams:
    """So many streams of 20 tokens a second, watched for some seconds; readiness is asked ten times a second."""
    bench.rest(contestant)
    ramp_s = SETTLE_S + count / BEGINNINGS_A_S
    from_s = ramp_s + SETTLE_S
    to_s = from_s + seconds
    ask = f"Hello! [[tokens={int((to_s + SETTLE_S) * TOKENS_A_S)} per_s={TOKENS_A_S} delay_ms=0 write=1]]"
    conversations = bench.create_conversations(contestant, count)
    job = contestant.job(
        [[contestant.compose_turn(ask, each)] for each in conversations],
        ramp_s=ramp_s,
        from_s=from_s,
        to_s=to_s,
        probe=contestant.compose("GET", "/readyz") if has_probes else "",
    )

    def look() -> tuple[Usage, Usage]:
        time.sleep(from_s)
        before = _read_usage(bench, contestant)
        time.sleep(seconds)
        return before, _read_usage(bench, contestant)

    report, (before, after) = bench.client.run_beside(job, look)
    tokens = max(1, report.window_tokens)
    return Streams(
        count=count,
        report=report,
        cpu_us=(after.server_s - before.server_s) * 1e6 / tokens,
        redis_us=max(0.0, after.redis_s - before.redis_s - idle_redis * seconds) * 1e6 / tokens,
        aof_bytes=(after.aof_bytes - before.aof_bytes) / tokens,
    )


def measure_idle_redis(bench: Bench, contestant: Contestant) -> float:
    """The share of a core that Valkey takes while nobody asks the contestant, nor anybody else, for anything."""
    bench.rest(contestant)
    share = math.inf
    for _ in range(MAX_RESTS):
        before = _read_usage(bench, contestant)
        time.sleep(IDLE_S)
        latest = (_read_usage(bench, contestant).redis_s - before.redis_s) / IDLE_S
        if latest >= STILL * share:
            return latest
        share = latest
    return share


def _read_usage(bench: Bench, contestant: Contestant) -> Usage:
    info: dict[str, Any] = bench.redis.info("everything")
    redis_s = info["used_cpu_user"] + info["used_cpu_sys"]
    return Usage(contestant.get_cpu_s(), redis_s, int(info["aof_current_size"]))
