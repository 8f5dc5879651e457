"""The breaker of the model: closed, open, half-open, and what counts as a failure."""

import asyncio
from collections.abc import Sequence

import pytest

from prompts.domain.model_request import ModelRequest
from prompts.domain.signals import Text
from prompts.errors import (
    AnswerTooLarge,
    InvalidPrompt,
    RateLimited,
    UpstreamError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from prompts.ports.observer import BreakerChanged
from prompts.run.breaker import MAX_OPEN_S, OPEN_S, PROBE_S, Breaker
from prompts.run.guarded_model import GuardedModel
from tests.support.fakes.chat_model import ScriptedModel, Step
from tests.support.fakes.observer import FakeObserver
from tests.support.items import said
from tests.support.runner_harness import STOP

MAX_FAILURES = 5


class Rig:
    """A breaker whose clock a test moves, in front of a model that does what the test says."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.observer = FakeObserver()
        self.breaker = Breaker("model", max_failures=MAX_FAILURES, observer=self.observer, clock=lambda: self.now)
        self.scripted = ScriptedModel([])
        self.model = GuardedModel(self.scripted, self.breaker)

    async def ask(self, *steps: Step) -> None:
        """One call, to its end; what it fails at is not told."""
        self.scripted.steps = steps
        try:
            async with self.model.stream(ModelRequest(model="m"), [said("user", "Hello")]) as answer:
                async for _ in answer:
                    pass
        except (UpstreamError, UpstreamTimeout, InvalidPrompt, RateLimited):
            pass

    async def fail(self, times: int = MAX_FAILURES) -> None:
        """So many calls fail in a row."""
        for _ in range(times):
            await self.ask(UpstreamError("It broke."))

    def is_open(self) -> bool:
        """Whether a new response is refused now."""
        try:
            self.model.check()
        except UpstreamUnavailable:
            return True
        return False

    @property
    def states(self) -> Sequence[str]:
        """The states that the observer was told, in order."""
        return [what.state for what in self.observer.noticed if isinstance(what, BreakerChanged)]


@pytest.fixture
def rig() -> Rig:
    """A fresh one."""
    return Rig()


async def test_failures_in_a_row_open_it(rig: Rig) -> None:
    await rig.fail(MAX_FAILURES - 1)
    assert not rig.is_open()
    await rig.fail(1)
    assert rig.is_open()
    assert rig.states == ["open"]


async def test_what_is_refused_says_when_to_come_back(rig: Rig) -> None:
    await rig.fail()
    rig.now += 1
    with pytest.raises(UpstreamUnavailable) as refused:
        rig.model.check()
    assert refused.value.retry_after_s == OPEN_S - 1
    assert refused.value.status == 503


async def test_an_answer_that_is_too_large_does_not_count(rig: Rig) -> None:
    """A client's request may have led to it, again and again."""
    for _ in range(MAX_FAILURES):
        await rig.ask(AnswerTooLarge("large"))
        await rig.ask([Text("1")], AnswerTooLarge("large"))
    assert not rig.is_open()


@pytest.mark.parametrize("error", [UpstreamError("broken"), UpstreamTimeout("slow")])
@pytest.mark.parametrize("before", [[], [[Text("1")]]], ids=["before the first token", "in the middle"])
async def test_a_server_that_breaks_off_counts(rig: Rig, error: Exception, before: list[Step]) -> None:
    for _ in range(MAX_FAILURES):
        await rig.ask(*before, error)
        if before:
            break
    assert rig.is_open() != bool(before)  # an answer that began proves that the server is there


@pytest.mark.parametrize("error", [InvalidPrompt("no"), RateLimited("later")])
async def test_a_clients_own_error_and_a_limit_do_not_count(rig: Rig, error: Exception) -> None:
    for _ in range(3 * MAX_FAILURES):
        await rig.ask(error)
    assert not rig.is_open()


async def test_without_a_number_of_failures_it_never_opens() -> None:
    rig = Rig()
    rig.breaker = Breaker("model", max_failures=0, observer=rig.observer, clock=lambda: rig.now)
    rig.model = GuardedModel(rig.scripted, rig.breaker)
    await rig.fail(100)
    assert not rig.is_open()


async def test_a_success_in_between_starts_the_count_again(rig: Rig) -> None:
    await rig.fail(MAX_FAILURES - 1)
    await rig.ask([Text("1"), STOP])
    await rig.fail(MAX_FAILURES - 1)
    assert not rig.is_open()


async def test_half_open_lets_one_call_a_second_through(rig: Rig) -> None:
    await rig.fail()
    rig.now += OPEN_S
    assert not rig.is_open()
    assert rig.is_open()
    rig.now += PROBE_S
    assert not rig.is_open()
    assert rig.states == ["open", "half_open"]


async def test_a_success_while_half_open_closes_it(rig: Rig) -> None:
    await rig.fail()
    rig.now += OPEN_S
    rig.model.check()
    await rig.ask([Text("1"), STOP])
    assert not any(rig.is_open() for _ in range(10))
    assert rig.states == ["open", "half_open", "closed"]


async def test_a_failure_while_half_open_opens_it_for_longer(rig: Rig) -> None:
    await rig.fail()
    for expected in (2 * OPEN_S, 4 * OPEN_S, 8 * OPEN_S, MAX_OPEN_S, MAX_OPEN_S):
        rig.now += 2 * MAX_OPEN_S
        rig.model.check()
        await rig.fail(1)
        with pytest.raises(UpstreamUnavailable) as refused:
            rig.model.check()
        assert refused.value.retry_after_s == expected


async def test_a_client_that_leaves_does_not_count(rig: Rig) -> None:
    for _ in range(3 * MAX_FAILURES):
        asking = asyncio.create_task(rig.ask(asyncio.Event()))
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    assert not rig.is_open()


async def test_what_has_begun_may_ask_while_it_is_open(rig: Rig) -> None:
    await rig.fail()
    await rig.ask([Text("1"), STOP])
    assert not rig.is_open()
