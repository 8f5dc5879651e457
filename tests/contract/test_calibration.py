"""`Calibration`: all replicas learn together how many tokens models report."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from redis.asyncio import Redis

from prompts.adapters.redis.calibration import HIGHEST, LOWEST, RedisCalibration
from prompts.ports.calibration import Calibration
from tests.support.fakes.calibration import FakeCalibration, Known


@dataclass(frozen=True)
class Replica:
    """The calibration of one replica, and its exchange with the others, which the service does every few seconds."""

    calibration: Calibration
    agree: Callable[[], Awaitable[None]]

    async def learn(self, *answers: tuple[int, int], model: str = "m", owner: str = "alice") -> None:
        """Learn from answers (estimated, reported), and agree."""
        for estimated, reported in answers:
            self.calibration.learn(model, owner=owner, estimated=estimated, reported=reported)
        await self.agree()

    def get_factor(self, model: str = "m", owner: str = "alice") -> float:
        """The factor that this replica uses."""
        return self.calibration.get_factor(model, owner=owner)


OpenReplica = Callable[[], Replica]


@pytest.fixture(params=["memory", "redis"])
async def open_replica(request: pytest.FixtureRequest, redis: Redis) -> OpenReplica:
    """Opens replicas of one service that has learned nothing yet."""
    known: dict[tuple[str, str], Known] = {}

    def open_one() -> Replica:
        calibration: Any = FakeCalibration(known) if request.param == "memory" else RedisCalibration(redis)
        return Replica(calibration, calibration.agree)

    return open_one


@pytest.fixture
def replica(open_replica: OpenReplica) -> Replica:
    return open_replica()


async def test_the_factor_is_one_at_first(replica: Replica) -> None:
    assert replica.get_factor() == 1.0
    await replica.agree()
    assert replica.get_factor() == 1.0


async def test_a_replica_uses_only_what_was_exchanged(replica: Replica) -> None:
    replica.calibration.learn("m", owner="alice", estimated=1000, reported=1500)
    assert replica.get_factor() == 1.0
    await replica.agree()
    assert replica.get_factor() == 1.5


async def test_what_one_replica_learns_all_know(open_replica: OpenReplica) -> None:
    first, second = open_replica(), open_replica()
    await first.learn((1000, 1500))
    assert second.get_factor() == 1.0
    await second.agree()  # of whom it was asked
    assert second.get_factor() == 1.5


async def test_all_replicas_learn_together(open_replica: OpenReplica) -> None:
    first, second = open_replica(), open_replica()
    await first.learn((1000, 1000))
    await second.learn((1000, 2000))
    assert first.get_factor() == 1.0
    await first.agree()
    assert first.get_factor() == second.get_factor() == 1.5


async def test_an_answer_counts_once(replica: Replica) -> None:
    await replica.learn((1000, 1000))
    await replica.learn((1000, 2000))
    for _ in range(3):
        await replica.agree()
    assert replica.get_factor() == 1.5


async def test_models_are_learned_apart(replica: Replica) -> None:
    await replica.learn((1000, 1500))
    await replica.learn((1000, 500), model="another")
    assert (replica.get_factor(), replica.get_factor("another"), replica.get_factor("a third")) == (1.5, 0.5, 1.0)


async def test_early_answers_count_alike_and_long_ones_more(replica: Replica) -> None:
    await replica.learn((100, 300), (900, 900))
    assert replica.get_factor() == pytest.approx(1.2)
    await replica.learn((1000, 2000), (1000, 2000))
    assert replica.get_factor() == pytest.approx(1.6)


async def test_a_model_that_changes_is_followed_however_long_it_was_known(replica: Replica) -> None:
    for reported in (1000, 2000):
        for _ in range(50):
            await replica.learn(*[(1000, reported)] * 10)
        assert replica.get_factor() == pytest.approx(reported / 1000, abs=0.01)


async def test_no_owner_moves_the_factor_of_another(replica: Replica) -> None:
    await replica.learn((1000, 1500))
    for reported in (250, 4000):
        await replica.learn(*[(1000, reported)] * 25, owner="mallory")
        assert (replica.get_factor(), replica.get_factor(owner="bob")) == (1.5, 1.0)
    assert replica.get_factor(owner="mallory") > 3


@pytest.mark.parametrize("reported", [1000 * LOWEST, 1000 * HIGHEST])
async def test_a_factor_at_its_bounds_is_learned(replica: Replica, reported: float) -> None:
    await replica.learn((1000, int(reported)))
    assert replica.get_factor() == reported / 1000


@pytest.mark.parametrize("reported", [1, 249, 4001, 10**9, 10**400])
async def test_a_number_that_no_model_can_mean_moves_nothing(replica: Replica, reported: int) -> None:
    await replica.learn((1000, 1500))
    await replica.learn(*[(1000, reported)] * 25)
    assert replica.get_factor() == 1.5


@pytest.mark.parametrize("answer", [(1000, 0), (1000, -5), (0, 1000), (-5, 1000)])
async def test_impossible_counts_are_ignored(replica: Replica, answer: tuple[int, int]) -> None:
    await replica.learn(answer)
    assert replica.get_factor() == 1.0
