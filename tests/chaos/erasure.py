"""Everything is deleted through the API; what is then left in Redis was forgotten."""

from tests.chaos.audit import in_parallel
from tests.chaos.keys import list_keys
from tests.chaos.stage import Stage
from tests.support.servers import eventually

# Children are erased in slices by the next sweep, at most two seconds later; thousands of them take a while.
ERASED_WITHIN_S = 30
# What may be left for a while: what says that a thing was deleted, and which response a retry belongs to.
PASSING = {"conv", "resp", "idem", "gone"}
TOMBSTONES = {"conv", "resp"}
# And for good: who may ask.
LASTING = {"valid", "factors"}
SHOWN = 20


async def erase_everything(stage: Stage) -> dict[str, int]:
    """Delete all there is and wait for the erasure; gives the kinds of keys left, with their numbers."""
    found = await list_keys(stage.redis)
    for kind, folder in (("conv", "conversations"), ("resp", "responses")):
        paths = [f"/v1/{folder}/{key.rpartition(':')[2]}" for key in found[kind]]
        await in_parallel(lambda path: _delete(stage, path), paths)
    try:
        await eventually(lambda: _is_erased(stage), within_s=ERASED_WITHIN_S)
    except AssertionError:
        strays = await _list_strays(stage)
        stage.ledger.complain(f"{len(strays)} keys are left behind: {strays[:SHOWN]}")
    return {kind: len(keys) for kind, keys in (await list_keys(stage.redis)).items()}


async def _delete(stage: Stage, path: str) -> None:
    answer = await stage.client().request("DELETE", path)
    if answer.status_code not in (200, 404):  # 404: it went with its conversation
        stage.ledger.complain(f"DELETE {path} was answered with {answer.status_code}: {answer.text}")


async def _is_erased(stage: Stage) -> bool:
    return not await _list_strays(stage)


async def _list_strays(stage: Stage) -> list[str]:
    keys = await list_keys(stage.redis)
    return [key for kind, some in keys.items() for key in some if not await _may_stay(stage, kind, key)]


async def _may_stay(stage: Stage, kind: str, key: str) -> bool:
    if kind in LASTING:
        return True
    if kind not in PASSING or await stage.redis.ttl(key) < 0:
        return False
    return kind not in TOMBSTONES or await stage.redis.hkeys(key) == [b"deleted"]
