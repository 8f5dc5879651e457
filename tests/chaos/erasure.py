"""Deletes everything through the API, then checks that Redis is empty."""

from typing import cast

from prompts.adapters.redis import keys
from tests.chaos.audit import in_parallel
from tests.chaos.experiment import Experiment
from tests.chaos.redis_keys import list_keys
from tests.support.servers import eventually

# The next sweep, at most two seconds later, erases children in slices; thousands of them take a while.
ERASED_WITHIN_S = 60
# Keys that may stay until they expire: tombstones, idempotency records of responses that were deleted by themselves,
# what readiness writes.
EXPIRING = {"conv", "resp", "vs", "idem", "gone", "write", "archiver", "eps:retention"}
TOMBSTONES = {"conv", "resp", "vs"}
# Keys that stay for good: valid API keys, when they were used, token factors, and how far the archive has come.
PERMANENT = {"valid", "used", "factors", "archive"}
SHOWN = 20


async def erase_everything(experiment: Experiment, *, is_of_release: bool = False) -> dict[str, int]:
    """Delete everything and wait for the erasure. Returns the kinds of keys left, with their counts.

    `is_of_release` when the last release has written some of it: its idempotency records stay for their 24 hours.
    """
    found = await list_keys(experiment.redis)
    for kind, folder in (("conv", "conversations"), ("resp", "responses")):
        paths = [f"/v1/{folder}/{key.rpartition(':')[2]}" for key in found[kind]]
        await in_parallel(lambda path: _delete(experiment, path), paths)
    try:
        await eventually(lambda: _is_erased(experiment, is_of_release), within_s=ERASED_WITHIN_S)
    except AssertionError:
        leftovers = await _list_leftovers(experiment, is_of_release)
        experiment.results.add_violation(f"{len(leftovers)} keys are left behind: {leftovers[:SHOWN]}")
    return {kind: len(keys) for kind, keys in (await list_keys(experiment.redis)).items()}


async def _delete(experiment: Experiment, path: str) -> None:
    answer = await experiment.client().request("DELETE", path)
    if answer.status_code not in (200, 404):  # 404: it was deleted with its conversation
        experiment.results.add_violation(f"DELETE {path} was answered with {answer.status_code}: {answer.text}")


async def _is_erased(experiment: Experiment, is_of_release: bool) -> bool:
    return not await _list_leftovers(experiment, is_of_release)


async def _list_leftovers(experiment: Experiment, is_of_release: bool) -> list[str]:
    found = await list_keys(experiment.redis)
    some = [(kind, key) for kind, named in found.items() for key in named]
    return [key for kind, key in some if not await _may_stay(experiment, kind, key, is_of_release)]


async def _may_stay(experiment: Experiment, kind: str, key: str, is_of_release: bool) -> bool:
    if kind in PERMANENT:
        return True
    if kind not in EXPIRING or await experiment.redis.ttl(key) < 0:
        return False
    if kind == "idem" and not is_of_release:
        record = cast("bytes | None", await experiment.redis.get(key)) or b""
        return bool(await experiment.redis.exists(keys.response(record.decode().partition(" ")[0])))
    return kind not in TOMBSTONES or set(await experiment.redis.hkeys(key)) <= {b"deleted", b"erasing"}
