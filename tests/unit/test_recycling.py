"""When a worker is worn, and that one of a replica is recycled at a time."""

import asyncio
from pathlib import Path

from config.recycling import JITTER, MB, Wear, WearLimits, read_memory_bytes


async def is_worn(wear: Wear) -> bool:
    """Whether it is to be replaced by now."""
    try:
        async with asyncio.timeout(2.5):
            await wear.wait_until_worn()
    except TimeoutError:
        return False
    return True


async def test_without_limits_a_worker_is_never_worn(tmp_path: Path) -> None:
    wear = Wear(WearLimits(0, 0), lock_path=tmp_path / "lock")
    wear.requests = 10**9
    assert not await is_worn(wear)


async def test_a_worker_is_worn_by_its_requests_or_its_memory(tmp_path: Path) -> None:
    busy = Wear(WearLimits(10, 0), lock_path=tmp_path / "busy")
    large = Wear(WearLimits(0, 100), lock_path=tmp_path / "large", read_memory=lambda: 100 * MB)
    fresh = Wear(WearLimits(10, 100), lock_path=tmp_path / "fresh", read_memory=lambda: 99 * MB)
    busy.requests = int(10 * (1 + JITTER))
    fresh.requests = 9
    assert await asyncio.gather(*map(is_worn, (busy, large, fresh))) == [True, True, False]
    assert (busy.is_recycling, fresh.is_recycling) == (True, False)


async def test_one_worker_of_a_replica_is_recycled_at_a_time(tmp_path: Path) -> None:
    lock_path = tmp_path / "lock"
    first = Wear(WearLimits(1, 0), lock_path=lock_path)
    second = Wear(WearLimits(1, 0), lock_path=lock_path)
    first.requests = second.requests = 10
    assert await is_worn(first)
    assert not await is_worn(second)


def test_the_memory_of_this_process_is_known() -> None:
    assert 10 * MB < read_memory_bytes() < 10_000 * MB
