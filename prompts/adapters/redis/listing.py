"""An owner's list of conversations: an index in a slot of its own, repairable, never the truth."""

import structlog

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import Scripts
from prompts.errors import Unavailable

log = structlog.get_logger(__name__)


async def touch_listing(scripts: Scripts, owner: str, conversation_id: str) -> None:
    """Move a conversation to the head of its owner's list, because it was used now.

    Raises nothing: what the client asked for is stored already, and an error would make it ask again.
    """
    try:
        await scripts.call("touch_listing", listing_key=keys.listing(owner), conversation_id=conversation_id)
    except Unavailable:
        log.warning("listing_not_touched", conversation_id=conversation_id)
