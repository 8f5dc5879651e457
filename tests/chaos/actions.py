"""What is done to the house: kills, a freeze, a rolling restart, a database that dies."""

import asyncio
import time

import psutil

from tests.chaos.stage import MAX_READY_S, Stage
from tests.support.servers import Replica, eventually


async def kill_replica(stage: Stage, replica: Replica) -> None:
    """SIGKILL to the master and its workers, as when a machine goes."""
    await asyncio.to_thread(replica.kill)
    stage.ledger.counts["replicas killed"] += 1


def kill_worker(stage: Stage, replica: Replica) -> bool:
    """SIGKILL to one worker of a replica, whose master forks another; False when there was none."""
    workers = psutil.Process(replica.pid).children()
    if not workers:
        return False
    stage.chance.choice(workers).kill()
    stage.ledger.counts["workers killed"] += 1
    return True


async def kill_now_and_then(stage: Stage, *, kills: int, every_s: float) -> None:
    """A random replica and a random worker by turns; what was killed is started again at once."""
    async with asyncio.TaskGroup() as restarts:
        for number in range(kills):
            await asyncio.sleep(every_s)  # the pace of the chaos
            replica = await _see_any_ready(stage)
            if number % 2 == 0 or not kill_worker(stage, replica):
                await kill_replica(stage, replica)
                restarts.create_task(asyncio.to_thread(replica.start))


async def replace_all(stage: Stage) -> None:
    """A rolling restart with `maxUnavailable: 0`: the new one is ready before the old one is told to go."""
    async with asyncio.TaskGroup() as departures:
        for old in list(stage.house.replicas):
            new = stage.house.build_replica()
            await asyncio.to_thread(new.start)
            await stage.see_ready(new)
            stage.house.replicas.remove(old)
            old.terminate()
            departures.create_task(_see_off(stage, old))


async def _see_off(stage: Stage, replica: Replica) -> None:
    began = time.monotonic()
    code = await asyncio.to_thread(replica.wait, within_s=60)
    stage.ledger.counts["replicas replaced"] += 1
    drain_s = float(stage.house.environment["DRAIN_S"])
    if code != 0:
        stage.ledger.complain(f"{replica.directory.name} was told to go and ended with {code}")
    # Answers end here for DRAIN_S, others are followed for as long again; stopping takes a moment.
    if (took_s := time.monotonic() - began) > 2 * drain_s + 5:
        stage.ledger.complain(f"{replica.directory.name} took {took_s:.1f} s to go, with DRAIN_S={drain_s:g}")


async def lose_valkey(stage: Stage, *, after_s: float, away_s: float) -> None:
    """SIGKILL to the database, and its start on the same file `away_s` later."""
    await asyncio.sleep(after_s)  # the pace of the chaos
    await asyncio.to_thread(stage.house.valkey.kill)
    stage.ledger.counts["Valkeys killed"] += 1
    await asyncio.sleep(away_s)  # how long it is away
    await asyncio.to_thread(stage.house.valkey.start)


async def _see_any_ready(stage: Stage) -> Replica:
    """One at random, as soon as there is one."""

    def list_ready() -> list[Replica]:
        return [one for one in stage.house.replicas if one.is_running and one.port in stage.balancer.ready]

    return stage.chance.choice(await eventually(list_ready, within_s=MAX_READY_S))
