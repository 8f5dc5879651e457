"""`Observer`: it takes every happening and raises nothing."""

from collections.abc import Callable
from typing import get_args

import pytest
from prometheus_client import CollectorRegistry

from prompts.adapters.metrics.observer import PrometheusObserver
from prompts.domain.usage import Usage
from prompts.ports.observer import (
    Appended,
    Archived,
    ArchiveLooked,
    BreakerChanged,
    EndedOutsideRun,
    FirstTokenCame,
    FollowerJoined,
    FollowerLeft,
    Happening,
    IndexingStopped,
    KnowledgeFailed,
    ModelCalled,
    ModelsListed,
    Observer,
    ParameterIgnored,
    RunEnded,
    RunHandedOver,
    RunLeft,
    RunLost,
    RunStarted,
    SocketClosed,
    SocketEnd,
    SocketOpened,
    SocketTurnServed,
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
    RunLeft("resp_1"),
    EndedOutsideRun("resp_1", "m", status="cancelled", code=None),
    EndedOutsideRun("resp_1", "m", status="failed", code="a code of a later release"),
    ModelCalled("m", took_s=1, code=None, usage=Usage(1, 2, 3), writing_s=0.5, written_tokens=2),
    ModelCalled("m", took_s=0, code=None, usage=Usage(0, 0, 0), writing_s=0, written_tokens=0),
    ModelCalled("m", took_s=1, code="upstream_error", usage=None, writing_s=None, written_tokens=None),
    ModelsListed([]),
    ModelsListed(["m", "another"]),
    FollowerJoined(),
    FollowerLeft(),
    SocketOpened(),
    *(SocketClosed(reason) for reason in get_args(SocketEnd)),
    *(SocketTurnServed(outcome) for outcome in ("answered", "refused", "left")),
    *(ParameterIgnored(kind) for kind in ("field", "item_field", "tool", "include")),
    *(KnowledgeFailed(kind) for kind in ("timeout", "unreachable", "refused")),
    *(IndexingStopped(outcome) for outcome in ("completed", "failed", "put_off", "stale")),
    *(BreakerChanged("model", state) for state in ("open", "half_open", "closed")),
    BreakerChanged("weaviate", "open"),
    ArchiveLooked(lag_s=0),
    Archived(dict.fromkeys(("conversations", "timelines", "items", "responses", "erased"), 1)),
]
OBSERVERS: dict[str, Callable[[], Observer]] = {
    "PrometheusObserver": lambda: PrometheusObserver(CollectorRegistry(), models=["m"]),
    "FakeObserver": FakeObserver,
    "Unobserved": Unobserved,
}


@pytest.fixture(params=OBSERVERS)
def observer(request: pytest.FixtureRequest) -> Observer:
    return OBSERVERS[request.param]()


def test_nothing_that_may_happen_is_left_out() -> None:
    assert {type(happening) for happening in HAPPENINGS} == set(get_args(Happening))


def test_it_takes_every_happening_in_any_order(observer: Observer) -> None:
    for happening in [*HAPPENINGS, *reversed(HAPPENINGS)]:
        observer.notice(happening)
