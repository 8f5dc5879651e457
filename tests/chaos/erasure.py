"""Deletes everything through the API, then checks that Redis is empty."""

from tests.chaos.audit import in_parallel
from tests.chaos.experiment import Experiment
from tests.chaos.redis_keys import list_keys
from tests.support.servers import eventually

# The next sweep, at most two seconds later, erases children in slices; thousands of them take a while.
ERASED_WITHIN_S = 60
# Keys that may stay until they expire: tombstones, idempotency keys, what readiness writes.
EXPIRING = {"conv", "resp", "vs", "idem", "gone", "write", "archiver", "eps:retention"}
TOMBSTONES = {"conv", "resp", "vs"}
# Keys that stay for good: valid API keys, when they were used, token factors, and how far the archive has come.
PERMANENT = {"valid", "used", "factors", "archive"}
SHOWN = 20


async def erase_everything(experiment: Experiment) -> dict[str, int]:
    """Delete everything and wait for the erasure. Returns the kinds of keys left, with their counts."""
    found = await list_keys(experiment.redis)
    for kind, folder in (("conv", "conversations"), ("resp", "responses")):
        paths = [f"/v1/{folder}/{key.rpartition(':')[2]}" for key in found[kind]]
        await in_parallel(lambda path: _delete(experiment, path), paths)
    try:
        await eventually(lambda: _is_erased(experiment), within_s=ERASED_WITHIN_S)
    except AssertionError:
        leftovers = await _list_leftovers(experiment)
        experiment.results.add_violation(f"{len(leftovers)} keys are left behind: {leftovers[:SHOWN]}")
    return {kind: len(keys) for kind, keys in (await list_keys(experiment.redis)).items()}


async def _delete(experiment: Experiment, path: str) -> None:
    answer = await experiment.client().request("DELETE", path)
    if answer.status_code not in (200, 404):  # 404: it was deleted with its conversation
        experiment.results.add_violation(f"DELETE {path} was answered with {answer.status_code}: {answer.text}")


async def _is_erased(experiment: Experiment) -> bool:
    return not await _list_leftovers(experiment)


async def _list_leftovers(experiment: Experiment) -> list[str]:
    keys = await list_keys(experiment.redis)
    return [key for kind, some in keys.items() for key in some if not await _may_stay(experiment, kind, key)]


async def _may_stay(experiment: Experiment, kind: str, key: str) -> bool:
    if kind in PERMANENT:
        return True
    if kind not in EXPIRING or await experiment.redis.ttl(key) < 0:
        return False
    return kind not in TOMBSTONES or set(await experiment.redis.hkeys(key)) <= {b"deleted", b"erasing"}
