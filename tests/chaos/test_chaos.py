"""The short form of `make chaos`: every scenario once, on three replicas with short leases."""

from collections.abc import AsyncIterator, Iterator

import pytest

from launcher.valkey import Fsync
from tests.chaos.archive_audit import audit_archive, audit_empty_archive
from tests.chaos.audit import audit
from tests.chaos.cluster import Cluster
from tests.chaos.erasure import erase_everything
from tests.chaos.experiment import Experiment, open_experiment
from tests.chaos.races import cancel_elsewhere, send_at_once, send_copies
from tests.chaos.report import percentile
from tests.chaos.rolling_restart import restart_under_load
from tests.chaos.scenarios import (
    lose_all_attempts,
    survive_frozen_replica,
    survive_kills,
    survive_kills_with_files,
    survive_valkey,
)
from tests.support.service import ALICE_KEY

# Short times: the file takes a minute and a half. The long form uses production's times.
SETTINGS = {"LEASE_S": "2", "DRAIN_S": "3"}

# The audit reads what the load has written, and on a slow machine a rolling restart gives the load more time.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The servers of this file. Each test finds all of them up and Redis empty."""
    with Cluster(tmp_path_factory.mktemp("chaos"), replicas=3, settings=SETTINGS) as running:
        yield running


@pytest.fixture
async def experiment(cluster: Cluster) -> AsyncIterator[Experiment]:
    """At the end: audit Redis and the archive, delete everything, and fail on any violation."""
    async with open_experiment(cluster, api_key=ALICE_KEY) as opened:
        yield opened
        await audit(opened)
        await audit_archive(opened)
        await erase_everything(opened)
        await audit_empty_archive(opened)
    assert not opened.results.violations, "\n".join(opened.results.violations)


async def test_answers_survive_kills(experiment: Experiment) -> None:
    await survive_kills(experiment, kills=5, every_s=1, clients=6)
    assert experiment.results.counts["replicas killed"] >= 3
    assert experiment.cluster.list_logged("response_taken_over")


@pytest.mark.long
async def test_answers_from_files_survive_kills(experiment: Experiment) -> None:
    await survive_kills_with_files(experiment, kills=6, every_s=1, clients=4)
    assert experiment.results.counts["replicas killed"] >= 2
    assert experiment.cluster.list_logged("response_taken_over")
    assert [answer for answer in experiment.results.answers if answer.status == "completed"]


@pytest.mark.long
async def test_an_answer_that_loses_every_run_fails_and_keeps_its_text(experiment: Experiment) -> None:
    await lose_all_attempts(experiment)


async def test_a_replica_that_comes_back_from_the_dead_writes_nothing(experiment: Experiment) -> None:
    await survive_frozen_replica(experiment)


@pytest.mark.long
async def test_a_rolling_restart_is_not_noticed(experiment: Experiment) -> None:
    await restart_under_load(experiment, clients=6)
    assert experiment.results.counts["failed requests"] == 0
    assert experiment.results.counts["answers through the SDK"]
    assert experiment.cluster.list_logged("run_ended", status="handed_over")


@pytest.mark.parametrize("appendfsync", ["everysec", pytest.param("always", marks=pytest.mark.long)])
async def test_a_killed_database_loses_nothing_that_was_shown(experiment: Experiment, appendfsync: Fsync) -> None:
    await survive_valkey(experiment, appendfsync=appendfsync, clients=8, times=1)


async def test_copies_of_a_request_are_one_request(experiment: Experiment) -> None:
    await send_copies(experiment, times=3)


async def test_only_one_of_four_sends_at_once_runs(experiment: Experiment) -> None:
    await send_at_once(experiment, times=5)


async def test_a_cancel_elsewhere_leaves_the_model_at_once(experiment: Experiment) -> None:
    await cancel_elsewhere(experiment, times=10)
    assert percentile(experiment.results.cancels_s, 0.5) < 0.5  # about ten milliseconds, on a busy machine more
