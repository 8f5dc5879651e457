"""From the last release to the working tree and back, under load: no request fails, no token is lost."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.chaos.audit import audit
from tests.chaos.change_of_version import change_version, list_taken_from_other_version, start_from
from tests.chaos.cluster import Cluster
from tests.chaos.erasure import erase_everything
from tests.chaos.experiment import Experiment, open_experiment
from tests.chaos.scenarios import survive_kills
from tests.support.processes import REPO_ROOT
from tests.support.service import ALICE_KEY

# Short times: both ways take about a minute. Two replicas, because one of each version is enough.
SETTINGS = {"LEASE_S": "2", "DRAIN_S": "3"}

# A replica that leaves may have no answer to hand over, or its like takes it over.
TRIES = 2

# The audit reads what the load has written, and on a slow machine the change gives the load more time.
pytestmark = [pytest.mark.timeout(300), pytest.mark.usefixtures("answers_of_the_release")]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory, release_source: Path) -> Iterator[Cluster]:
    """Replicas of the last release. A test may leave another version."""
    directory = tmp_path_factory.mktemp("versions")
    with Cluster(directory, replicas=2, settings=SETTINGS, source=release_source) as running:
        yield running


@pytest.fixture
async def experiment(cluster: Cluster) -> AsyncIterator[Experiment]:
    """At the end the version that is left audits and erases what both have written."""
    async with open_experiment(cluster, api_key=ALICE_KEY) as opened:
        yield opened
        await audit(opened)
        await erase_everything(opened, is_of_release=True)
    assert not opened.results.violations, "\n".join(opened.results.violations)
    assert opened.results.counts["tokens lost"] == 0
    assert opened.results.counts["tokens repeated"] == 0


async def check_change(experiment: Experiment, old: Path, new: Path, *, clients: int) -> None:
    """Roll from `old` to `new` and look at what the clients noticed."""
    for _ in range(TRIES):
        await start_from(experiment, old)
        await change_version(experiment, new, clients=clients)
        if list_taken_from_other_version(experiment):
            break
    assert {replica.working_directory for replica in experiment.cluster.replicas} == {new}
    assert experiment.results.counts["failed requests"] == 0
    assert experiment.results.counts["answers through the SDK"]
    assert list_taken_from_other_version(experiment)


@pytest.mark.long
async def test_a_new_version_is_not_noticed(experiment: Experiment, release_source: Path) -> None:
    await check_change(experiment, release_source, REPO_ROOT, clients=6)


@pytest.mark.long
async def test_the_way_back_is_not_noticed(experiment: Experiment, release_source: Path) -> None:
    await check_change(experiment, REPO_ROOT, release_source, clients=6)


@pytest.mark.long
@pytest.mark.timeout(600)
async def test_both_versions_take_over_from_each_other_again_and_again(
    experiment: Experiment, release_source: Path
) -> None:
    """Kills under load while both serve, then there and back twice with more clients."""
    await start_from(experiment, release_source)
    await asyncio.to_thread(experiment.cluster.deploy, REPO_ROOT)
    added = [experiment.cluster.build_replica() for _ in range(2)]
    await experiment.restart_stopped()
    await survive_kills(experiment, kills=40, every_s=1, clients=12)
    assert experiment.results.counts["replicas killed"] >= 15
    for leaving in [replica for replica in experiment.cluster.replicas if replica not in added]:
        experiment.cluster.replicas.remove(leaving)
        await asyncio.to_thread(partial(leaving.stop, within_s=60))
    for old, new in 2 * [(REPO_ROOT, release_source), (release_source, REPO_ROOT)]:
        await check_change(experiment, old, new, clients=12)
