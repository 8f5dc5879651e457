"""The deletion of a conversation: by its owner, or by the erasure when its time is over."""

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import Scripts, new_call_id, translated_errors
from prompts.domain import ids

# What is deleted stays unknown for as long as a retry of its creation may come.
TOMBSTONE_S = 24 * 3600


async def delete_conversation(
    redis: Redis, scripts: Scripts, conversation_id: str, *, owner: str | None, found_due: str = ""
) -> bool:
    """Delete it for its owner, or for nobody (None) when its time is over; what hangs below it is due from then on.

    With `found_due` only when that is still its time in the expiry. False when it is unknown, another owner's, or was
    used meanwhile. Raises Unavailable.
    """
    partition = ids.get_partition(conversation_id)
    found_owner: bytes = await scripts.call(
        "delete_conversation",
        conversation_key=keys.conversation(conversation_id),
        leases_key=keys.leases(partition),
        expiry_key=keys.expiry(partition),
        prefix=keys.prefix(partition),
        owner=owner or "",
        conversation_id=conversation_id,
        tombstone_s=TOMBSTONE_S,
        replica_channels=keys.replica_channel(""),
        call_id=new_call_id(),
        found_due_ms=found_due,
    )
    if not found_owner:
        return False
    await leave_listing(redis, found_owner.decode(), conversation_id)
    return True


async def leave_listing(redis: Redis, owner: str, conversation_id: str) -> None:
    """Take a deleted conversation from its owner's list. Raises Unavailable."""
    with translated_errors():
        await redis.zrem(keys.listing(owner), conversation_id)
