"""The names of everything in Redis (DESIGN §6); no other module spells a key.

Each key carries its partition as a hash tag, and an id carries its partition: what one script touches lies in one slot.
"""

from prompts import ids

# API keys, by the hash of the key: one small hash, read once a request.
API_KEYS = "eps:api_keys"


def prefix(partition: str) -> str:
    """What all keys of a partition begin with; scripts build from it the keys they reach from their roots."""
    return f"eps:{{{partition}}}:"


def conversation(conversation_id: str) -> str:
    """Hash: owner, metadata, title, timeline, active response, times."""
    return f"{prefix(ids.get_partition(conversation_id))}conv:{conversation_id}"


def response(response_id: str) -> str:
    """Hash: owner, status, echo, input, result, epoch, where it stands on its timeline."""
    return f"{prefix(ids.get_partition(response_id))}resp:{response_id}"


def event_log(response_id: str) -> str:
    """Stream: one entry a group commit, its id the last sequence number in it."""
    return f"{prefix(ids.get_partition(response_id))}ev:{response_id}"


def leases(partition: str) -> str:
    """Sorted set: active responses by the deadline of their lease, in milliseconds."""
    return f"{prefix(partition)}leases"


def listing(owner: str) -> str:
    """Sorted set: an owner's conversations by their last use; repairable, never the truth."""
    return f"eps:owner:{{{owner}}}:convs"
