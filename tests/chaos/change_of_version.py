"""A rolling restart to another version under load: half of the time both versions serve the same clients."""

import asyncio
from pathlib import Path

from tests.chaos.actions import replace_all_replicas
from tests.chaos.experiment import Experiment
from tests.chaos.rolling_restart import restart_under_load
from tests.chaos.workload import ask_whole, cancel_answers, chain_responses


async def change_version(experiment: Experiment, source: Path, *, clients: int) -> None:
    """Migrate and roll to the code in `source` under load."""
    await asyncio.to_thread(experiment.cluster.deploy, source)
    await restart_under_load(experiment, clients=clients, more=(chain_responses, ask_whole, cancel_answers))


async def start_from(experiment: Experiment, source: Path) -> None:
    """Make all replicas run the code in `source`, without load."""
    if any(replica.working_directory != source for replica in experiment.cluster.replicas):
        await asyncio.to_thread(experiment.cluster.deploy, source)
        await replace_all_replicas(experiment)
        experiment.cluster.skip_logs_so_far()


def list_taken_from_other_version(experiment: Experiment) -> list[str]:
    """The responses that one version handed over or lost, and the other version continued."""
    begun = {
        line["response_id"]: replica.working_directory
        for replica, line in experiment.cluster.list_logged("run_ended", status="handed_over")
    }
    taken = experiment.cluster.list_logged("response_taken_over")
    return [
        str(line["response_id"])
        for replica, line in taken
        if begun.get(line["response_id"], replica.working_directory) != replica.working_directory
    ]
