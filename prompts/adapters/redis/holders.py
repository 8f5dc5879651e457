"""Whose something in a partition is, by the words in which the expiry and the outbox name it."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import translated_errors


async def find_owners(redis: Redis, members: Sequence[str]) -> Mapping[str, str]:
    """The owners of `conv:<id>`, `resp:<id>` and `chain:<timeline>`; what is gone has none. Raises Unavailable."""
    if not members:
        return {}
    with translated_errors():
        pipeline = redis.pipeline(transaction=False)
        for member in members:
            pipeline.hget(_name_holder(member), "owner")
        owners = await pipeline.execute()
    return {member: owner.decode() for member, owner in zip(members, owners, strict=True) if owner is not None}


def _name_holder(member: str) -> str:
    kind, _, name = member.partition(":")
    if kind == "conv":
        return keys.conversation(name)
    return keys.response(name) if kind == "resp" else keys.timeline_meta(name)
