"""Everything is deleted through the API; what is then left in Redis was forgotten."""

from tests.chaos.audit import in_parallel
from tests.chaos.experiment import Experiment
from tests.chaos.redis_keys import list_keys
from tests.support.servers import eventually

# Children are erased in slices by the next sweep, at most two seconds later; thousands of them take a while.
ERASED_WITHIN_S = 30
# What may be left for a while: what says that a thing was deleted, and which response a retry belongs to.
EXPIRING = {"conv", "resp", "idem", "gone"}
TOMBSTONES = {"conv", "resp"}
# And for good: who may ask.
PERMANENT = {"valid", "factors"}
SHOWN = 20


async def erase_everything(experiment: Experiment) -> dict[str, int]:
    """Delete all there is and wait for the erasure; gives the kinds of keys left, with their numbers."""
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
    if answer.status_code not in (200, 404):  # 404: it went with its conversation
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
    return kind not in TOMBSTONES or await experiment.redis.hkeys(key) == [b"deleted"]
