"""Responses in Redis: one hash a response, one stream its log, one script a change."""

import asyncio
from collections.abc import Sequence
from typing import cast

import msgspec
from msgspec import UNSET
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts import ids
from prompts.adapters import redis_names as names
from prompts.adapters.redis_items import pack_items
from prompts.adapters.redis_listing import touch_listing
from prompts.adapters.redis_scripts import Arg, Scripts, read_fields
from prompts.domain import ENDED, Item, Response, ResponseError, Status
from prompts.errors import (
    NotFound,
    ReplicaLost,
    ResponseNotEnded,
    StaleRun,
    conversation_locked,
    unknown_conversation,
    unknown_previous_response,
    unknown_response,
)
from prompts.ports import Admitted, Draft, Outcome, StoredResponse

encode = msgspec.json.Encoder().encode
decode_item = msgspec.json.Decoder(Item).decode
decode_response = msgspec.json.Decoder(Response).decode

LOST = ReplicaLost("The replica that wrote this answer was lost. Send the input again.")


class RedisResponseStore:
    """`ResponseStore` on Redis; `log_retention_s` is how long a log outlives its response."""

    def __init__(self, redis: Redis, *, log_retention_s: int) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._log_retention_s = log_retention_s

    async def admit(self, draft: Draft, *, owner: str, history_tokens: int, lease_s: float) -> Admitted:
        """See `ResponseStore.admit`."""
        response_id = draft.response.id
        kind, anchor_id, anchor_key = _anchor(draft)
        args: list[Arg] = [_prefix(response_id), owner, response_id, kind, anchor_id]
        args += [encode(draft.response), encode(draft.input), int(lease_s * 1000), history_tokens]
        keys = [*_keys(response_id), anchor_key]
        reply = await self._scripts.call("admit", keys=keys, args=[*args, encode(draft.model_request)])
        match [reply[0], *reply[1:]]:
            case [b"not_found"]:
                raise _unknown_anchor(draft)
            case [b"locked", active]:
                raise conversation_locked(anchor_id, active.decode())
            case [b"not_ended", status]:
                raise _not_ended(anchor_id, status.decode())
        response = replace(draft.response, created_at=reply[1] // 1000)
        window = [decode_item(item) for item in reversed(reply[3:])]
        return Admitted(response=response, epoch=reply[2], window=window)

    async def append(self, response_id: str, *, epoch: int, lease_s: float, last_number: int, signals: bytes) -> None:
        """See `ResponseStore.append`."""
        args: list[Arg] = [response_id, epoch, int(lease_s * 1000), last_number, signals]
        if not await self._scripts.call("append", keys=_keys(response_id), args=args):
            raise StaleRun

    async def commit(self, outcome: Outcome, *, owner: str, epoch: int, last_number: int, signals: bytes) -> None:
        """See `ResponseStore.commit`."""
        response = outcome.response
        partition = ids.get_partition(response.id)
        args: list[Arg] = [names.prefix(partition), response.id, epoch, response.status, outcome.result]
        args += [last_number, signals, pack_items(outcome.items), self._log_retention_s]
        args += [ids.new_id(ids.TIMELINE, partition)]
        committing = self._scripts.call("commit", keys=_keys(response.id), args=args)
        if response.conversation is UNSET:
            is_ended = await committing
        else:
            touching = touch_listing(self._scripts, owner, response.conversation.id)
            is_ended, _ = await asyncio.gather(committing, touching)
        if not is_ended:
            raise StaleRun

    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """See `ResponseStore.get`."""
        fields = ("owner", "status", "result", "echo", "created_ms")
        found = await read_fields(self._redis, names.response(response_id), fields)
        found_owner, status, result, echo, created_ms = found
        if found_owner is None or status is None or echo is None or found_owner.decode() != owner:
            raise unknown_response(response_id)
        body = result or encode(_without_result(decode_response(echo), status.decode(), int(created_ms or 0)))
        return StoredResponse(status=cast(Status, status.decode()), body=body)


def _without_result(echo: Response, status: str, created_ms: int) -> Response:
    """An active response as it was created; one whose replica was lost, as failed."""
    error = ResponseError(LOST.response_code, LOST.message) if status in ENDED else None
    return replace(echo, status=cast(Status, status), created_at=created_ms // 1000, error=error)


def _anchor(draft: Draft) -> tuple[str, str, str]:
    """What the turn hangs on: its kind, its id, its key."""
    if draft.conversation_id is not None:
        return "conversation", draft.conversation_id, names.conversation(draft.conversation_id)
    if draft.previous_response_id is not None:
        return "previous", draft.previous_response_id, names.response(draft.previous_response_id)
    return "none", "", names.response(draft.response.id)


def _unknown_anchor(draft: Draft) -> NotFound:
    if draft.conversation_id is not None:
        return unknown_conversation(draft.conversation_id, param="conversation")
    return unknown_previous_response(draft.previous_response_id or "")


def _not_ended(response_id: str, status: str) -> ResponseNotEnded:
    if status == "failed":
        message = f"Previous response '{response_id}' failed. Continue from the response before it."
        return ResponseNotEnded(message, param="previous_response_id")
    message = f"Previous response '{response_id}' is {status}. Continue from it when it has ended."
    return ResponseNotEnded(message, param="previous_response_id", retry_after_s=1)


def _keys(response_id: str) -> Sequence[str]:
    leases = names.leases(ids.get_partition(response_id))
    return [names.response(response_id), names.event_log(response_id), leases]


def _prefix(response_id: str) -> str:
    return names.prefix(ids.get_partition(response_id))
