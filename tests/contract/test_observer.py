"""`Observer`: it takes every happening and raises nothing."""

import pytest

from prompts.domain.usage import Usage
from prompts.ports.observer import (
    Appended,
    FirstTokenCame,
    Happening,
    Observer,
    RunEnded,
    RunHandedOver,
    RunLost,
    RunStarted,
    Unobserved,
)
from tests.support.fakes.observer import FakeObserver

HAPPENINGS: list[Happening] = [
    RunStarted("resp_1", "m", is_takeover=False),
    RunStarted("resp_1", "m", is_takeover=True),
    FirstTokenCame("resp_1", "m", after_s=0.1),
    Appended(took_s=0.001),
    RunEnded("resp_1", "m", status="completed", code=None, usage=Usage(1, 2, 3), took_s=1),
    RunEnded("resp_1", "m", status="failed", code="server_error", usage=None, took_s=0),
    RunHandedOver("resp_1"),
    RunLost("resp_1"),
]


@pytest.fixture(params=[FakeObserver, Unobserved])
def observer(request: pytest.FixtureRequest) -> Observer:
    made: Observer = request.param()
    return made


def test_it_takes_every_happening_in_any_order(observer: Observer) -> None:
    for happening in [*HAPPENINGS, *reversed(HAPPENINGS)]:
        observer.notice(happening)
