"""Which turns of a connection run, and which wait."""

import asyncio
from dataclasses import dataclass

import pytest

from prompts.consumers.lanes import MAX_NAMED, MAX_RUNNING, MAX_WAITING, Lanes
from prompts.errors import TooManyStreams, TooManyWaiting


@dataclass(frozen=True)
class Turn:
    """A turn with a name for the test."""

    name: str
    stream_id: str | None = None


class Stage:
    """Turns that run until they are let end."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self.let_go: list[str] = []
        self.rests = 0
        self._ends: dict[str, asyncio.Event] = {}
        self.lanes: Lanes[Turn] = Lanes(self.serve, self.rest, lambda turn: self.let_go.append(turn.name))

    async def serve(self, turn: Turn) -> None:
        self.begun.append(turn.name)
        self._ends[turn.name] = asyncio.Event()
        try:
            await self._ends[turn.name].wait()
        except asyncio.CancelledError:
            self.cancelled.append(turn.name)
            raise

    def rest(self) -> None:
        self.rests += 1

    def add(self, name: str, stream_id: str | None = None) -> None:
        self.lanes.add(Turn(name, stream_id))

    async def end(self, name: str) -> None:
        self._ends[name].set()
        await self.settle()

    async def settle(self) -> None:
        for _ in range(5):
            await asyncio.sleep(0)


async def test_a_lane_serves_one_turn_at_a_time_and_lanes_at_once() -> None:
    stage = Stage()
    for name, lane in (("1", None), ("2", None), ("a1", "a"), ("a2", "a"), ("b1", "b")):
        stage.add(name, lane)
    await stage.settle()
    assert stage.begun == ["1", "a1", "b1"]
    await stage.end("a1")
    await stage.end("1")
    assert stage.begun == ["1", "a1", "b1", "a2", "2"]
    for name in ("a2", "2"):
        await stage.end(name)
    assert (stage.rests, stage.lanes.is_idle) == (0, False)
    await stage.end("b1")
    assert (stage.rests, stage.lanes.is_idle) == (1, True)


async def test_so_many_run_at_once_and_the_oldest_of_the_others_is_next() -> None:
    stage = Stage()
    for number in range(MAX_RUNNING + 2):
        stage.add(str(number), f"lane-{number}")
    await stage.settle()
    assert len(stage.begun) == MAX_RUNNING
    await stage.end("3")
    assert stage.begun[-1] == str(MAX_RUNNING)
    await stage.lanes.stop()


async def test_so_many_may_wait() -> None:
    stage = Stage()
    for number in range(MAX_WAITING + 1):
        stage.add(str(number))
    with pytest.raises(TooManyWaiting):
        stage.add("one more")
    await stage.settle()
    assert [turn.name for turn in stage.lanes.take_waiting()] == [str(number) for number in range(1, MAX_WAITING + 1)]
    stage.add("there is room again")
    await stage.end("0")
    assert stage.begun == ["0", "there is room again"]
    await stage.lanes.stop()


async def test_names_are_counted_over_the_whole_life() -> None:
    stage = Stage()
    for number in range(MAX_NAMED):
        stage.add(str(number), f"lane-{number}")
        await stage.settle()
        await stage.end(str(number))
    with pytest.raises(TooManyStreams):
        stage.add("x", "lane-x")
    stage.add("again", "lane-0")
    stage.add("without a name")
    await stage.settle()
    assert stage.begun[-2:] == ["again", "without a name"]
    await stage.lanes.stop()


async def test_a_stop_cancels_what_runs_and_begins_nothing() -> None:
    stage = Stage()
    for name, lane in (("1", None), ("2", None), ("a", "a")):
        stage.add(name, lane)
    await stage.settle()
    await stage.lanes.stop()
    await stage.settle()
    assert (stage.cancelled, stage.begun, stage.rests) == (["1", "a"], ["1", "a"], 0)


async def test_each_turn_is_let_go_once_whatever_becomes_of_it() -> None:
    stage = Stage()
    for name, lane in (("served", None), ("cancelled", None), ("waits", None), ("running", "a"), ("waits too", "a")):
        stage.add(name, lane)
    await stage.settle()
    await stage.end("served")
    assert stage.let_go == ["served"]
    stage.add("taken", "a")
    assert [turn.name for turn in stage.lanes.take_waiting()] == ["waits", "waits too", "taken"]
    assert stage.let_go[1:] == ["waits", "waits too", "taken"]
    stage.add("waiting")
    stage.add("never begun", "b")  # its task has not taken a step
    await stage.lanes.stop()
    assert sorted(stage.let_go[4:]) == ["cancelled", "never begun", "running", "waiting"]
    assert "never begun" not in stage.begun
