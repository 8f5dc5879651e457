"""The short form of `make chaos`: every scene once, on three replicas with short leases."""

from collections.abc import AsyncIterator, Iterator

import pytest

from launcher.valkey import Fsync
from tests.chaos.audit import audit
from tests.chaos.erasure import erase_everything
from tests.chaos.house import House
from tests.chaos.report import percentile
from tests.chaos.rivals import cancel_elsewhere, send_at_once, send_copies
from tests.chaos.rolling import roll
from tests.chaos.scenarios import lose_all_attempts, survive_kills, survive_valkey, survive_zombie
from tests.chaos.stage import Stage, open_stage
from tests.support.service import ALICE_KEY

# Short, so that the whole takes a minute and a half; the long form runs with what production has.
SETTINGS = {"LEASE_S": "2", "DRAIN_S": "3"}


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The servers of this file; each test finds all of them up and nothing stored."""
    with House(tmp_path_factory.mktemp("chaos"), replicas=3, settings=SETTINGS) as running:
        yield running


@pytest.fixture
async def stage(house: House) -> AsyncIterator[Stage]:
    """At the end everything is looked at, deleted, and nothing may be left."""
    async with open_stage(house, api_key=ALICE_KEY) as playing:
        yield playing
        await audit(playing)
        await erase_everything(playing)
    assert not playing.ledger.complaints, "\n".join(playing.ledger.complaints)


async def test_answers_survive_kills(stage: Stage) -> None:
    await survive_kills(stage, kills=12, every_s=1, clients=8)
    assert stage.ledger.counts["replicas killed"] >= 5
    assert stage.house.list_logged("response_taken_over")


async def test_an_answer_that_loses_every_run_fails_and_keeps_its_text(stage: Stage) -> None:
    await lose_all_attempts(stage)


async def test_a_replica_that_comes_back_from_the_dead_writes_nothing(stage: Stage) -> None:
    await survive_zombie(stage)


async def test_a_rolling_restart_is_not_noticed(stage: Stage) -> None:
    await roll(stage, clients=6)
    assert stage.ledger.counts["failed requests"] == 0
    assert stage.ledger.counts["answers through the SDK"]
    assert stage.house.list_logged("run_ended", status="handed_over")


@pytest.mark.parametrize("appendfsync", ["everysec", "always"])
async def test_a_killed_database_loses_nothing_that_was_shown(stage: Stage, appendfsync: Fsync) -> None:
    await survive_valkey(stage, appendfsync=appendfsync, clients=8, times=1)


async def test_copies_of_a_request_are_one_request(stage: Stage) -> None:
    await send_copies(stage, times=3)


async def test_only_one_of_four_sends_at_once_runs(stage: Stage) -> None:
    await send_at_once(stage, times=5)


async def test_a_cancel_elsewhere_leaves_the_model_at_once(stage: Stage) -> None:
    await cancel_elsewhere(stage, times=10)
    assert percentile(stage.ledger.cancels_s, 0.5) < 0.5  # some ten milliseconds, and a busy machine
