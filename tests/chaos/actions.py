"""Faults: kills, a rolling restart, a database that dies."""

import asyncio
import time

import psutil

from tests.chaos.experiment import MAX_READY_S, Experiment
from tests.support.servers import Replica, eventually


async def kill_replica(experiment: Experiment, replica: Replica) -> None:
    """SIGKILL to the master and its workers, as when a machine dies."""
    await asyncio.to_thread(replica.kill)
    experiment.results.counts["replicas killed"] += 1


def kill_worker(experiment: Experiment, replica: Replica) -> bool:
    """SIGKILL to one worker of a replica; the master forks another. False when there was no worker."""
    workers = psutil.Process(replica.pid).children()
    if not workers:
        return False
    experiment.random.choice(workers).kill()
    experiment.results.counts["workers killed"] += 1
    return True


async def kill_at_intervals(experiment: Experiment, *, kills: int, every_s: float) -> None:
    """Kill a random replica and a random worker in turn; start each killed replica again at once."""
    async with asyncio.TaskGroup() as restarts:
        for number in range(kills):
            await asyncio.sleep(every_s)  # the interval is part of the scenario
            replica = await _pick_ready_replica(experiment)
            if number % 2 == 0 or not kill_worker(experiment, replica):
                await kill_replica(experiment, replica)
                restarts.create_task(asyncio.to_thread(replica.start))


async def replace_all_replicas(experiment: Experiment) -> None:
    """A rolling restart with `maxUnavailable: 0`: the new replica is ready before the old one gets SIGTERM."""
    async with asyncio.TaskGroup() as departures:
        for old in list(experiment.cluster.replicas):
            new = experiment.cluster.build_replica()
            await asyncio.to_thread(new.start)
            await experiment.wait_ready(new)
            experiment.cluster.replicas.remove(old)
            old.terminate()
            departures.create_task(_check_departure(experiment, old))


async def _check_departure(experiment: Experiment, replica: Replica) -> None:
    began = time.monotonic()
    code = await asyncio.to_thread(replica.wait, within_s=60)
    experiment.results.counts["replicas replaced"] += 1
    drain_s = float(experiment.cluster.environment["DRAIN_S"])
    if code != 0:
        experiment.results.add_violation(f"{replica.directory.name} was told to go and ended with {code}")
    # For DRAIN_S answers end here, for as long again handed-over ones are followed; stopping takes a moment, and on a
    # busy machine another one.
    if (took_s := time.monotonic() - began) > 2 * drain_s + 2 * replica.max_exit_s:
        experiment.results.add_violation(
            f"{replica.directory.name} took {took_s:.1f} s to go, with DRAIN_S={drain_s:g}"
        )


async def kill_and_restart_valkey(experiment: Experiment, *, after_s: float, away_s: float) -> None:
    """SIGKILL to the database; `away_s` later it starts on the same file."""
    await asyncio.sleep(after_s)  # the load goes on first
    await asyncio.to_thread(experiment.cluster.valkey.kill)
    experiment.results.counts["Valkeys killed"] += 1
    await asyncio.sleep(away_s)  # the outage
    await asyncio.to_thread(experiment.cluster.valkey.start)


async def _pick_ready_replica(experiment: Experiment) -> Replica:
    """A random ready replica, as soon as there is one."""

    def list_ready() -> list[Replica]:
        return [one for one in experiment.cluster.replicas if one.is_running and one.port in experiment.balancer.ready]

    return experiment.random.choice(await eventually(list_ready, within_s=MAX_READY_S))
