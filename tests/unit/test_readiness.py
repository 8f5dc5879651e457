"""Readiness: its result, its time limit, and how rarely it asks the dependencies."""

import asyncio
import time

import pytest

from health.checks import Check
from health.probes import Readiness
from tests.support.servers import eventually

SECRET = "redis://:secret@10.0.0.7:6379"


class Dependency:
    """A dependency whose check a test controls; counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.failure: Exception | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self) -> None:
        """Fail with `failure`, or pass. Hang while `answers` is not set."""
        self.asked += 1
        await self.answers.wait()
        if self.failure is not None:
            raise self.failure


def start(*, timeout_s: float = 5, required: tuple[str, ...] = ("redis",), **checks: Check) -> Readiness:
    readiness = Readiness(checks, required=required, timeout_s=timeout_s)
    readiness.mark_started()
    return readiness


async def get_detail(readiness: Readiness, name: str) -> str:
    result = await readiness.find_result(name)
    assert result is not None
    return result.detail


async def test_it_works() -> None:
    report = await start(redis=Dependency().check).report()
    assert report.is_ready
    assert [(check.name, check.detail) for check in report.checks] == [
        ("startup", "ok"),
        ("drain", "ok"),
        ("redis", "ok"),
    ]


async def test_not_ready_before_it_has_started() -> None:
    readiness = Readiness({}, required=(), timeout_s=1)
    assert not (await readiness.report()).is_ready
    assert await get_detail(readiness, "startup") == "not started"
    readiness.mark_started()
    assert (await readiness.report()).is_ready


async def test_draining_shows_at_once_although_results_are_cached() -> None:
    redis = Dependency()
    readiness = start(redis=redis.check)
    assert (await readiness.report()).is_ready
    readiness.start_draining()
    assert readiness.is_draining
    assert not (await readiness.report()).is_ready
    assert await get_detail(readiness, "drain") == "draining"
    assert redis.asked == 1


async def test_a_drain_that_begins_during_a_check_is_reported() -> None:
    redis = Dependency()
    redis.answers.clear()
    readiness = start(redis=redis.check)
    report = asyncio.create_task(readiness.report())
    await eventually(lambda: redis.asked)
    readiness.start_draining()
    redis.answers.set()
    assert not (await report).is_ready


@pytest.mark.parametrize(
    ("failure", "detail"),
    [
        (ConnectionError(SECRET), "unreachable"),
        (OSError(SECRET), "unreachable"),
        (RuntimeError(SECRET), "not ready"),
        (asyncio.CancelledError(SECRET), "not ready"),
    ],
)
async def test_a_failure_is_reported_without_its_text(failure: Exception, detail: str) -> None:
    redis = Dependency()
    redis.failure = failure
    readiness = start(redis=redis.check)
    report = await readiness.report()
    assert not report.is_ready
    assert await get_detail(readiness, "redis") == detail
    assert SECRET not in repr(report)


async def test_required_name_without_a_check_fails() -> None:
    readiness = start(required=("redis", "weaviate"), redis=Dependency().check)
    assert not (await readiness.report()).is_ready
    assert await get_detail(readiness, "weaviate") == "not configured"


async def test_optional_check_decides_nothing_and_is_asked_only_on_request() -> None:
    redis, weaviate = Dependency(), Dependency()
    weaviate.failure = ConnectionError()
    readiness = start(redis=redis.check, weaviate=weaviate.check)
    assert (await readiness.report()).is_ready
    assert weaviate.asked == 0
    report = await readiness.report(with_optional=True)
    assert report.is_ready
    assert {check.name: check.is_ok for check in report.checks}["weaviate"] is False


async def test_unknown_check_is_none() -> None:
    assert await start(redis=Dependency().check).find_result("postgres") is None


@pytest.mark.timed
async def test_checks_that_hang_end_together_at_the_time_limit() -> None:
    redis, weaviate = Dependency(), Dependency()
    redis.answers.clear()
    weaviate.answers.clear()
    readiness = start(required=("redis", "weaviate"), timeout_s=0.2, redis=redis.check, weaviate=weaviate.check)
    began = time.monotonic()
    report = await readiness.report()
    assert time.monotonic() - began < 0.35
    assert [check.detail for check in report.checks[2:]] == ["timed out after 0.2 s"] * 2


async def test_one_hanging_check_does_not_delay_another() -> None:
    redis, weaviate = Dependency(), Dependency()
    weaviate.answers.clear()
    readiness = start(required=("redis", "weaviate"), redis=redis.check, weaviate=weaviate.check)
    report = asyncio.create_task(readiness.report())
    await eventually(lambda: weaviate.asked)
    assert await get_detail(readiness, "redis") == "ok"
    assert not report.done()
    weaviate.answers.set()
    assert (await report).is_ready


async def test_check_that_ignores_cancellation_still_ends_at_the_time_limit() -> None:
    release = asyncio.Event()

    async def stubborn() -> None:
        try:
            await release.wait()
        except asyncio.CancelledError:
            await release.wait()
            raise ConnectionError from None

    readiness = start(timeout_s=0.1, redis=stubborn)
    assert await get_detail(readiness, "redis") == "timed out after 0.1 s"
    release.set()


async def test_concurrent_probes_are_one_check() -> None:
    redis = Dependency()
    redis.answers.clear()
    readiness = start(redis=redis.check)
    probes = [asyncio.create_task(readiness.report()) for _ in range(50)]
    await eventually(lambda: redis.asked)
    redis.answers.set()
    reports = await asyncio.gather(*probes)
    assert all(report.is_ready for report in reports)
    assert redis.asked == 1


async def test_a_probe_whose_client_left_cancels_no_check() -> None:
    redis = Dependency()
    redis.answers.clear()
    readiness = start(redis=redis.check)
    left = asyncio.create_task(readiness.report())
    await eventually(lambda: redis.asked)
    stayed = asyncio.create_task(readiness.report())
    left.cancel()
    with pytest.raises(asyncio.CancelledError):
        await left
    redis.answers.set()
    assert (await stayed).is_ready
    assert redis.asked == 1


@pytest.mark.timed
async def test_result_is_remembered_for_a_second_and_then_asked_for_again() -> None:
    redis = Dependency()
    readiness = start(redis=redis.check)
    began = time.monotonic()
    assert (await readiness.report()).is_ready
    redis.failure = ConnectionError()

    async def is_not_ready() -> bool:
        return not (await readiness.report()).is_ready

    await eventually(is_not_ready)
    assert 1 <= time.monotonic() - began < 1.5
    assert redis.asked == 2
    redis.failure = None
    await eventually(lambda: get_detail_is_ok(readiness))


async def get_detail_is_ok(readiness: Readiness) -> bool:
    return await get_detail(readiness, "redis") == "ok"


async def test_age_grows_while_a_result_is_remembered() -> None:
    readiness = start(redis=Dependency().check)
    first = await readiness.find_result("redis")
    second = await readiness.find_result("redis")
    assert first is second
    assert first is not None
    earlier = first.age_s
    await eventually(lambda: first.age_s > earlier)
