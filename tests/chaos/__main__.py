"""`python -m tests.chaos`: kills servers under load and checks every promise. Fails when one was broken."""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path

from tests.chaos.archive_audit import audit_archive, audit_empty_archive
from tests.chaos.audit import audit
from tests.chaos.cluster import Cluster
from tests.chaos.erasure import erase_everything
from tests.chaos.experiment import Experiment, open_experiment
from tests.chaos.races import cancel_elsewhere, send_at_once, send_copies
from tests.chaos.report import render
from tests.chaos.rolling_restart import restart_under_load
from tests.chaos.scenarios import (
    lose_all_attempts,
    survive_frozen_replica,
    survive_kills,
    survive_kills_with_files,
    survive_valkey,
)
from tests.support.service import ALICE_KEY

# Long enough for two answers. With production's 30 s a rolling restart would take many minutes.
DRAIN_S = 5
SHOWN_VIOLATIONS = 50

Scenario = tuple[str, Callable[[Experiment], Awaitable[None]]]


def main() -> None:
    options = read_options()
    began = time.monotonic()
    settings = {"LEASE_S": f"{options.lease:g}", "DRAIN_S": str(DRAIN_S)}
    directory = Path(tempfile.mkdtemp(prefix="chaos-"))
    with Cluster(directory, replicas=options.replicas, settings=settings) as cluster:
        violations = asyncio.run(run_scenarios(cluster, options))
    print(f"\nLEASE_S={options.lease:g} · seed {options.seed} · took {time.monotonic() - began:.0f} s")
    if violations:
        print(*violations[:SHOWN_VIOLATIONS], sep="\n")
        sys.exit(f"Promises broken: {len(violations)}. The servers' logs are in {directory}.")
    shutil.rmtree(directory)


def read_options() -> argparse.Namespace:
    """The options of the command line. A seed repeats the random choices, not the timing."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=200, help="replicas and single workers by turns, one a second")
    parser.add_argument("--replicas", type=int, default=4)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--lease", type=float, default=10, help="LEASE_S; 10 is what production has")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    return parser.parse_args()


async def run_scenarios(cluster: Cluster, options: argparse.Namespace) -> Sequence[str]:
    """All scenarios, the audit, the erasure, the table. Returns the violations."""
    async with open_experiment(cluster, api_key=ALICE_KEY, seed=options.seed) as experiment:
        before = await _get_memory(experiment)
        for title, scenario in list_scenarios(options):
            await _run_scenario(experiment, title, scenario)
        await _run_scenario(experiment, "the audit", audit)
        await _run_scenario(experiment, "the audit of the archive", audit_archive)
        left = await erase_everything(experiment)
        await audit_empty_archive(experiment)
        print("", render(experiment, memory=(before, await _get_memory(experiment)), left=left), sep="\n")
        return experiment.results.violations


def list_scenarios(options: argparse.Namespace) -> Sequence[Scenario]:
    """The scenarios with their titles, the longest first."""
    kills, clients = options.kills, options.clients
    return [
        (f"{kills} kills, one a second", partial(survive_kills, kills=kills, every_s=1, clients=clients)),
        ("kills while files are searched", partial(survive_kills_with_files, kills=20, every_s=1, clients=clients)),
        ("a rolling restart", partial(restart_under_load, clients=clients)),
        ("a frozen replica", survive_frozen_replica),
        ("an answer that loses every run", lose_all_attempts),
        ("Valkey killed, everysec", partial(survive_valkey, appendfsync="everysec", clients=clients, times=4)),
        ("Valkey killed, always", partial(survive_valkey, appendfsync="always", clients=clients, times=4)),
        ("copies of one request", partial(send_copies, times=20)),
        ("four sends at once", partial(send_at_once, times=20)),
        ("cancels elsewhere", partial(cancel_elsewhere, times=50)),
    ]


async def _run_scenario(experiment: Experiment, title: str, scenario: Callable[[Experiment], Awaitable[None]]) -> None:
    """Run one scenario, then start what is down. An exception is a violation too."""
    began = time.monotonic()
    print(f"{title} …", end=" ", flush=True)
    known = len(experiment.results.violations)
    try:
        await scenario(experiment)
        await experiment.restart_stopped()
    except Exception as error:  # noqa: BLE001 -- recorded as a violation; the other scenarios still run
        experiment.results.add_violation(f"{title} broke off: {''.join(traceback.format_exception(error))}")
    print(f"{time.monotonic() - began:.0f} s, {len(experiment.results.violations) - known} violations")


async def _get_memory(experiment: Experiment) -> int:
    memory = await experiment.redis.info("memory")
    return int(memory["used_memory"])


if __name__ == "__main__":
    main()
