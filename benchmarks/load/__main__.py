"""`python -m benchmarks.load`: 1, 2 and 4 replicas on one Valkey behind HAProxy; a scale-up and a rolling restart."""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable
from functools import partial
from http import HTTPStatus
from pathlib import Path

import uvloop

from benchmarks.load.clients import under_load
from benchmarks.load.cpu import CpuUse, read_cpu
from benchmarks.load.haproxy import HaProxy
from benchmarks.load.report import Phase, describe_machine, render, summarize, write_json
from tests.chaos.cluster import Cluster
from tests.support.servers import Replica, eventually, get_status

RESULTS = Path(__file__).parents[1] / "results"
# A hundred words: from a model that takes no time, so that servers are the limit; and at a real model's pace.
FAST = "Please write 100 words."
PACED = f"{FAST} [[standin token_s=0.02]]"
# Time to fill caches and connections before a measurement.
WARM_UP_S = 3
# One worker, so that a replica is one core at most. A short drain, so that the rolling restart takes seconds.
SETTINGS = {"WORKERS": "1", "DRAIN_S": "5", "MAX_RUNS": "1200"}
MAX_READY_S = 60
# What `preStop` does in Kubernetes: requests that are on their way arrive before SIGTERM.
PRE_STOP_S = 1


class Load:
    """The running servers, and the phases that are measured on them."""

    def __init__(self, cluster: Cluster, balancer: HaProxy, options: argparse.Namespace) -> None:
        self._cluster = cluster
        self._balancer = balancer
        self._options = options
        self.phases: list[Phase] = []

    async def run(self) -> None:
        """All phases, in the order of the table."""
        for count in (1, 2):
            await self._add_replicas(count - len(self._cluster.replicas))
            await self._measure_both(count)
        await self._measure_change("2 → 4 replicas in the middle", self._add_replicas(2))
        await self._measure_both(4)
        await self._measure_change("rolling restart of 4", self._replace_replicas())

    async def _measure_both(self, count: int) -> None:
        name = "1 replica" if count == 1 else f"{count} replicas"
        await self._measure(f"{name}, fast model", FAST, self._options.clients)
        await self._measure(f"{name}, a token every 20 ms", PACED, self._options.paced_clients)

    async def _measure(self, title: str, question: str, clients: int) -> None:
        print(f"{title} …", flush=True)
        async with under_load(self._balancer.port, question, clients=clients) as turns:
            await asyncio.sleep(WARM_UP_S)
            before, began = self._read_cpu(), time.perf_counter()
            await asyncio.sleep(self._options.seconds)
            use, seconds = self._read_cpu().since(before), time.perf_counter() - began
            answers = turns.list_since(began)
        self.phases.append(summarize(title, answers, turns.failures, seconds, use))

    async def _measure_change(self, title: str, change: Awaitable[None]) -> None:
        print(f"{title} …", flush=True)
        async with under_load(self._balancer.port, PACED, clients=self._options.paced_clients) as turns:
            await asyncio.sleep(WARM_UP_S)
            began = time.perf_counter()
            await change
            await asyncio.sleep(WARM_UP_S)
            seconds, answers = time.perf_counter() - began, turns.list_since(began)
        self.phases.append(summarize(title, answers, turns.failures, seconds, None))

    async def _add_replicas(self, count: int) -> None:
        for _ in range(count):
            await self._start(self._cluster.build_replica())

    async def _replace_replicas(self) -> None:
        """As a Deployment does with `maxUnavailable: 0` and a `preStop`."""
        for old in list(self._cluster.replicas):
            await self._start(self._cluster.build_replica())
            self._cluster.replicas.remove(old)
            self._balancer.remove(old.port)
            await asyncio.sleep(PRE_STOP_S)
            old.terminate()
            if (code := await asyncio.to_thread(old.wait, within_s=MAX_READY_S)) != 0:
                raise SystemExit(f"{old.directory.name} was told to go and ended with {code}")

    async def _start(self, replica: Replica) -> None:
        await asyncio.to_thread(replica.start)
        await eventually(partial(_is_ready, replica), within_s=MAX_READY_S)
        await self._balancer.add(replica.port)

    def _read_cpu(self) -> CpuUse:
        return read_cpu(
            {
                "replicas": [replica.pid for replica in self._cluster.replicas],
                "Valkey": [self._cluster.valkey.pid],
                "balancer": [self._balancer.pid],
                "model": [self._cluster.standin.pid],
                "clients": [os.getpid()],
            },
            without_children={os.getpid()},
        )


async def _is_ready(replica: Replica) -> bool:
    return await asyncio.to_thread(get_status, replica.port, "/readyz") == HTTPStatus.OK


def main() -> None:
    options = read_options()
    machine = describe_machine()
    with (
        tempfile.TemporaryDirectory(prefix="load-") as path,
        Cluster(Path(path), replicas=0, settings=SETTINGS) as cluster,
        HaProxy(Path(path) / "haproxy") as balancer,
    ):
        load = Load(cluster, balancer, options)
        uvloop.run(load.run())
    RESULTS.mkdir(exist_ok=True)
    report = render(load.phases, machine)
    (RESULTS / "load.md").write_text(report, "utf-8")
    write_json(RESULTS / "load.json", load.phases, machine)
    print(report)
    if failures := [failure for phase in load.phases for failure in phase.failures]:
        print(*(f"{count} times: {failure}" for failure, count in Counter(failures).most_common(10)), sep="\n")
        sys.exit(f"Failed requests: {len(failures)}.")


def read_options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("--seconds", type=float, default=12, help="length of one measurement")
    parser.add_argument("--clients", type=int, default=32, help="with a fast model")
    parser.add_argument("--paced-clients", type=int, default=24, help="with a token every 20 ms")
    return parser.parse_args()


if __name__ == "__main__":
    main()
