"""Items, drafts and stores as tests of Redis use them, below the HTTP API."""

from dataclasses import dataclass

from redis.asyncio import Redis

from prompts import ids
from prompts.adapters.redis_conversation_store import RedisConversationStore
from prompts.adapters.redis_eraser import RedisEraser
from prompts.adapters.redis_event_log import RedisEventLog
from prompts.adapters.redis_nudges import Nudges
from prompts.adapters.redis_response_store import RedisResponseStore, Retention
from prompts.domain import InputText, Message, ModelRequest, Response
from prompts.events import Narration
from prompts.ports import Admitted, Claim, Draft

RETENTION_S = 3600


@dataclass(frozen=True)
class Stores:
    """What one replica has open on a Redis."""

    responses: RedisResponseStore
    conversations: RedisConversationStore
    event_log: RedisEventLog
    eraser: RedisEraser


def open_stores(redis: Redis, *, replica_id: str = "rep_1", items_a_slice: int = 100) -> Stores:
    """A replica's stores."""
    retention = Retention(log_s=RETENTION_S, history_s=RETENTION_S)
    return Stores(
        responses=RedisResponseStore(redis, replica_id=replica_id, retention=retention),
        conversations=RedisConversationStore(redis, retention_s=RETENTION_S),
        event_log=RedisEventLog(redis, Nudges(redis, replica_id)),
        eraser=RedisEraser(redis, items_a_slice=items_a_slice),
    )


def build_item(text: str, partition: str) -> Message:
    """What a person said."""
    return Message(id=ids.new_id(ids.MESSAGE, partition), status="completed", role="user", content=[InputText(text)])


def build_draft(
    text: str = "Hello",
    *,
    partition: str | None = None,
    conversation_id: str | None = None,
    previous_response_id: str | None = None,
    claim: Claim | None = None,
) -> Draft:
    """A turn that says `text`; without an anchor it begins a chain, in a partition at random or in this one."""
    anchor_id = conversation_id or previous_response_id
    place = ids.get_partition(anchor_id) if anchor_id else partition or ids.new_partition()
    response = Response(id=ids.new_id(ids.RESPONSE, place), created_at=0, status="in_progress", model="m")
    return Draft(
        response=response,
        model_request=ModelRequest(model="m"),
        input=[build_item(text, place)],
        conversation_id=conversation_id,
        previous_response_id=previous_response_id,
        claim=claim or Claim(body_hash=text),
        last_opening_number=len(Narration(response).opening()) - 1,
    )


async def admit(stores: Stores, draft: Draft, *, owner: str = "alice", history_tokens: int = 8000) -> Admitted:
    """Admit a turn that nothing stands in the way of."""
    admitted = await stores.responses.admit(draft, owner=owner, history_tokens=history_tokens, lease_s=600)
    assert isinstance(admitted, Admitted)
    return admitted
