"""Histories in Redis, read outside of any turn: in slices, so that a long one holds nobody up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from redis.asyncio import Redis

from prompts.adapters.redis import keys as names
from prompts.adapters.redis.items import decode_item
from prompts.adapters.redis.scripts import Arg, Scripts
from prompts.domain import ids
from prompts.domain.items import Item
from prompts.errors import InvalidRequest, NotFound, response_not_ended, unknown_conversation, unknown_previous_response

# A slice is read in about a millisecond.
ITEMS_A_SLICE = 200
# As many as one request may bring (API.md); a history of more is not one to be read at once.
MAX_ITEMS = 5_000


@dataclass(frozen=True, slots=True)
class Anchor:
    """What a turn would hang on."""

    kind: Literal["conversation", "previous"]
    id: str
    key: str
    unknown: NotFound


@dataclass(frozen=True, slots=True)
class Slice:
    """Items with their tokens, newest first, and where the next slice begins; at no timeline when this was the last."""

    items: Sequence[tuple[bytes, int]]
    timeline: bytes
    position: int


BEGINNING = Slice([], b"", 0)


class RedisHistories:
    """`Histories` on Redis."""

    def __init__(self, redis: Redis) -> None:
        self._scripts = Scripts(redis)

    async def read(
        self, *, owner: str, conversation_id: str | None, previous_response_id: str | None, max_tokens: int | None
    ) -> Sequence[Item]:
        """See `Histories.read`."""
        anchor = _find_anchor(conversation_id, previous_response_id)
        left = math.inf if max_tokens is None else max_tokens
        newest_first: list[Item] = []
        last = BEGINNING
        while last is BEGINNING or last.timeline:
            last = await self._read_slice(anchor, owner, after=last)
            for item, tokens in last.items:
                left -= tokens
                if left < 0:
                    return newest_first[::-1]
                newest_first.append(decode_item(item))
            if len(newest_first) > MAX_ITEMS:
                raise InvalidRequest(f"This history has more than the {MAX_ITEMS:,} items that can be read at once.")
        return newest_first[::-1]

    async def _read_slice(self, anchor: Anchor, owner: str, *, after: Slice) -> Slice:
        args: list[Arg] = [names.prefix(ids.get_partition(anchor.id)), owner, anchor.kind]
        args += [after.timeline, after.position, ITEMS_A_SLICE]
        reply = await self._scripts.call("read_history", keys=[anchor.key], args=args)
        match reply:
            case [b"ok", timeline, position, *found]:
                return Slice(list(zip(found[::2], found[1::2], strict=True)), timeline, position)
            case [b"not_ended", status]:
                raise response_not_ended(anchor.id, status.decode())
        raise anchor.unknown


def _find_anchor(conversation_id: str | None, previous_response_id: str | None) -> Anchor:
    if conversation_id is not None:
        unknown = unknown_conversation(conversation_id, param="conversation")
        return Anchor("conversation", conversation_id, names.conversation(conversation_id), unknown)
    assert previous_response_id is not None
    unknown = unknown_previous_response(previous_response_id)
    return Anchor("previous", previous_response_id, names.response(previous_response_id), unknown)
