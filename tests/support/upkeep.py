"""Keys of Redis that the service writes by itself, whatever its clients do."""

from prompts.adapters.redis import keys
from prompts.domain import ids


def list_upkeep(owner: str = "alice") -> set[bytes]:
    """What it has learned of models, what runs and was used, and how far archive and retention have come."""
    names = {keys.calibration(owner), f"{keys.RUNNING_PREFIX}{owner}", keys.USED_KEYS, keys.RETENTION}
    for partition in ids.all_partitions():
        names |= {keys.archive(partition), keys.archiver(partition)}
    return {name.encode() for name in names}
