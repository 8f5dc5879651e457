"""The memory of a worker, before anybody has used it and with streams that grow; and of their logs in Redis."""

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from benchmarks import machine
from benchmarks.contestants import Bench, Contestant, find_response_id
from benchmarks.load_client import LoadClient, Report
from benchmarks.turns import measure_alone
from prompts.adapters.redis.keys import event_log

# What a worker does at its start has ended by then.
IDLE_AFTER_S = 1.0
STREAMS = 40
TOKENS_A_S = 40
RAMP_S = 0.5
FEW_TOKENS, MANY_TOKENS = 160, 600
TOKENS = MANY_TOKENS + 2 * TOKENS_A_S
ASK = f"Hello! [[tokens={TOKENS} per_s={TOKENS_A_S} delay_ms=0 write=1]]"
# So that what is imported at the first turn is not counted as a stream's.
WARM_UP_TURNS = 10
# Nor what the archive loads and keeps once it has copied the first turns, within two seconds.
SETTLE_S = 3.0


@dataclass(frozen=True)
class Growth:
    """RSS of a worker at rest in MB, and what a stream adds after so many tokens in KB; bytes of log a token."""

    idle_mb: float
    few_kb: float
    many_kb: float
    log_bytes: float


def measure_memory(bench: Bench, *contestants: Contestant) -> list[Growth]:
    """All at once, each with a load generator of its own: nothing here is a time. They must be fresh."""
    time.sleep(IDLE_AFTER_S)
    idle = [machine.get_worker_mb(each.process.pid) for each in contestants]
    for each in contestants:
        measure_alone(bench, each, turns=WARM_UP_TURNS)
    asked = [bench.create_conversations(each, STREAMS) for each in contestants]
    time.sleep(SETTLE_S)
    clients = (bench.client, bench.second_client)
    with ThreadPoolExecutor() as threads:
        grown = list(threads.map(_measure_growth, clients, contestants, asked))
    return [
        Growth(mb, few, many, _measure_logs(bench, report))
        for mb, (report, (few, many)) in zip(idle, grown, strict=True)
    ]


def _measure_growth(
    client: LoadClient, contestant: Contestant, conversations: Sequence[str]
) -> tuple[Report, tuple[float, float]]:
    lanes = [[contestant.compose_turn(ASK, each)] for each in conversations]
    job = contestant.job(lanes, ramp_s=RAMP_S, keep=1)
    pid = contestant.process.pid
    before = machine.get_worker_mb(pid)

    def look() -> tuple[float, float]:
        began = time.monotonic()
        sizes = []
        for tokens in (FEW_TOKENS, MANY_TOKENS):
            time.sleep(max(0.0, began + RAMP_S + tokens / TOKENS_A_S - time.monotonic()))
            sizes.append((machine.get_worker_mb(pid) - before) * 1000 / STREAMS)
        return sizes[0], sizes[1]

    return client.run_beside(job, look)


def _measure_logs(bench: Bench, report: Report) -> float:
    """Bytes a token of the answers' logs; 0 for who keeps none."""
    sizes = [bench.redis.memory_usage(event_log(find_response_id(body)), samples=0) or 0 for body in report.kept]
    return sum(sizes) / report.tokens
