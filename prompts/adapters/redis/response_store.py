"""Responses in Redis: one hash a response, one stream its log, one script a change."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import msgspec
import structlog
from msgspec import UNSET, Raw
from msgspec.structs import replace
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.anchors import AnchorPlace, find_place
from prompts.adapters.redis.append_queue import AppendQueue
from prompts.adapters.redis.deletion import TOMBSTONE_S
from prompts.adapters.redis.due import read_due
from prompts.adapters.redis.echoes import MIN_SHORTENED_BYTES, shorten_echo
from prompts.adapters.redis.items import decode_item, decode_items, read_large
from prompts.adapters.redis.lean import build_lean_encoder
from prompts.adapters.redis.listing import begin_touching, finish_touching
from prompts.adapters.redis.restored import call_restored, restored
from prompts.adapters.redis.scripts import Scripts, find_owned, new_call_id, read_fields, translated_errors
from prompts.adapters.redis.staging import MAX_BYTES_AT_ONCE, MAX_ITEMS_AT_ONCE, Batch, Staging, is_large, write_ahead
from prompts.domain import ids
from prompts.domain.items import Item
from prompts.domain.model_request import ModelRequest
from prompts.domain.passages import Passage
from prompts.domain.responses import CompactedHistory, ModelInput, Response, Status
from prompts.domain.text import TextConfig
from prompts.errors import (
    BrokenRecord,
    HistoryTooDeep,
    MayNotBegin,
    ServiceError,
    StaleRun,
    TailLost,
    Unavailable,
    UnknownCall,
    conversation_locked,
    key_reused,
    response_not_ended,
    unknown_response,
)
from prompts.ports.event_log import Group
from prompts.ports.responses import (
    Admitted,
    Attached,
    Displaces,
    Draft,
    Ending,
    Failure,
    InTheWay,
    Outcome,
    Seized,
    StoredResponse,
    Tell,
    Unreadable,
)
from prompts.ports.restoring import NO_RESTORER, Restorer

log = structlog.get_logger(__name__)

encode = msgspec.json.Encoder().encode
encode_echo = build_lean_encoder(Response)
encode_request = build_lean_encoder(ModelRequest)
decode_response = msgspec.json.Decoder(Response).decode
decode_compacted = msgspec.json.Decoder(CompactedHistory).decode
decode_failure = msgspec.json.Decoder(Failure).decode
decode_model_request = msgspec.json.Decoder(ModelRequest).decode
decode_passages = msgspec.json.Decoder(list[Passage]).decode
decode_account = msgspec.json.Decoder(ModelInput).decode

# How long an idempotency key is remembered (docs/api.md, "Retries").
IDEMPOTENCY_MS = 24 * 3600 * 1000
# What a window takes at most when nobody says: the largest item that a request may bring, and half as much beside.
HISTORY_BYTES = 16 * 1024 * 1024
# Lost responses of a partition that are listed at once; whoever takes them asks again.
MAX_LOST = 10
# The reply of `commit.lua` when what was staged has been erased.
STAGED_GONE = 2
# What `seize.lua` leaves alone when a turn displaces a response.
SPARES: Mapping[Displaces | None, str] = {None: "nothing", "any": "cancelled", "abandoned": "followed"}


@dataclass(frozen=True, slots=True)
class Retention:
    """How long Redis keeps a log after its response has ended, and a history after its last use."""

    log_s: int
    history_s: int


class RedisResponseStore:
    """`ResponseStore` on Redis. `replica_id` is where other replicas tell this one to stop writing a response."""

    def __init__(
        self,
        redis: Redis,
        *,
        replica_id: str,
        retention: Retention,
        history_bytes: int = HISTORY_BYTES,
        max_at_once: int = MAX_ITEMS_AT_ONCE,
        restorer: Restorer = NO_RESTORER,
    ) -> None:
        """`history_bytes` is the most that a window takes, whatever its tokens; for `max_at_once` see `Staging`.

        The `restorer` brings back what was kept for longer ago than `retention`.
        """
        self.restorer = restorer
        self._redis = redis
        self._history_bytes = history_bytes
        self._staging = Staging(redis, max_at_once=max_at_once)
        self._scripts = Scripts(redis)
        self._appends = AppendQueue(self._scripts)
        self._replica_id = replica_id
        self._retention = retention

    async def admit(
        self,
        draft: Draft,
        *,
        owner: str,
        history_tokens: int,
        lease_s: float,
        displaces: Displaces = "none",
        ending: Ending | None = None,
        met_id: str = "",
    ) -> Admitted | Attached | InTheWay:
        """See `ResponseStore.admit`."""
        admit = partial(
            self._admit,
            draft,
            owner=owner,
            history_tokens=history_tokens,
            lease_s=lease_s,
            displaces=displaces,
            ending=ending,
            met_id=met_id,
        )
        if draft.anchor is None:
            return await admit()
        return await call_restored(self.restorer, draft.anchor.id, owner, admit)

    async def _admit(
        self,
        draft: Draft,
        *,
        owner: str,
        history_tokens: int,
        lease_s: float,
        displaces: Displaces,
        ending: Ending | None,
        met_id: str,
    ) -> Admitted | Attached | InTheWay:
        response_id, claim = draft.response.id, draft.claim
        partition = ids.get_partition(response_id)
        own_key = keys.response(response_id)
        place = find_place(draft.anchor) if draft.anchor is not None else None
        kind, anchor_id, anchor_key = (place.kind, place.id, place.key) if place else ("none", "", own_key)
        key = claim.idempotency_key
        idempotency_key = keys.idempotency(partition, owner, anchor_id, key) if key else own_key
        echo, model_request = encode_echo(draft.response), encode_request(draft.model_request)
        given = encode(draft.input)
        is_prepared = len(echo) + len(given) + len(model_request) > MAX_BYTES_AT_ONCE
        if is_prepared:
            await write_ahead(self._redis, own_key, echo=echo, input=given, model_request=model_request)
        end = await self._stage(ending.outcome, owner, ending.epoch) if ending else None
        reply = await self._scripts.call(
            "admit",
            response_key=own_key,
            log_key=keys.event_log(response_id),
            leases_key=keys.leases(partition),
            expiry_key=keys.expiry(partition),
            anchor_key=anchor_key,
            idempotency_key=idempotency_key,
            prefix=keys.prefix(partition),
            owner=owner,
            response_id=response_id,
            anchor_kind=kind,
            anchor_id=anchor_id,
            echo=b"" if is_prepared else echo,
            input=b"" if is_prepared else given,
            model_request=b"" if is_prepared else model_request,
            lease_ms=int(lease_s * 1000),
            history_tokens=history_tokens,
            body_hash=claim.body_hash,
            is_retry=int(claim.is_retry),
            replica_id=self._replica_id,
            fresh_timeline=ids.new_id(ids.TIMELINE, partition),
            opening_number=draft.last_opening_number,
            retention_ms=self._retention.history_s * 1000,
            idempotency_ms=IDEMPOTENCY_MS,
            account=encode(draft.model_input),
            unanswered=encode(draft.unanswered),
            is_stored=int(draft.response.store),
            yields=int(draft.yields),
            reader_id=draft.reader_id,
            displaces=displaces,
            packed_ending=self._pack_ending(ending, end) if ending and end else b"",
            met_id=met_id,
            history_bytes=self._history_bytes,
            is_large=int(is_large(draft.input, len(given))),
            later_request=_shorten(draft.model_request, model_request),
            later_echo=shorten_echo(draft.response, echo),
            may_begin=int(draft.may_begin),
        )
        match reply:
            case [b"ok", created_ms, epoch, account, has_displaced, *newest_first]:
                response = replace(draft.response, created_at=created_ms // 1000)
                window = await self._read_window(newest_first)
                return Admitted(response, epoch.decode(), window, decode_account(account), bool(has_displaced))
        if is_prepared:
            with translated_errors():
                await self._redis.unlink(own_key)
        return _read_admission(reply, draft, place)

    async def _read_window(self, newest_first: Sequence[bytes]) -> Sequence[Item]:
        return [decode_item(item) for item in reversed(await read_large(self._redis, newest_first, is_whole=True))]

    async def _stage(self, outcome: Outcome, owner: str, epoch: str) -> Batch:
        """The items of an outcome, as the script takes them that ends the response."""
        response_id = outcome.response.id
        if not outcome.response.store:
            return Batch(b"[]")  # nothing of it stays
        partition, key = ids.get_partition(response_id), keys.response(response_id)
        return await self._staging.prepare(
            outcome.items, partition, key=key, field="position", owner=owner, epoch=epoch
        )

    def _pack_ending(self, ending: Ending, end: Batch) -> bytes:
        """The arguments of `commit.lua` that its part `ending.lua` takes, in one."""
        response, last = ending.outcome.response, ending.last
        return encode(
            {
                "response_id": response.id,
                "epoch": ending.epoch,
                "status": response.status,
                "result": ending.outcome.result.decode(),
                "failure": "",
                "after": last.after,
                "last_number": last.last_number,
                "signals": last.packed.decode(),
                "items": Raw(end.packed),
                "staged": end.staged,
                "staged_length": end.length,
                "fresh_timeline": ids.new_id(ids.TIMELINE, ids.get_partition(response.id)),
                "log_retention_s": self._retention.log_s,
                "retention_ms": self._retention.history_s * 1000,
                "passages": _pack_passages(ending.outcome).decode(),
            }
        )

    def append(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, is_urgent: bool = False
    ) -> asyncio.Future[None]:
        """See `ResponseStore.append`."""
        return self._appends.append(response_id, group, epoch=epoch, lease_s=lease_s, is_urgent=is_urgent)

    def hand(
        self, response_id: str, group: Group, *, epoch: str, lease_s: float, tell: Tell, is_urgent: bool = False
    ) -> None:
        """See `ResponseStore.hand`."""
        self._appends.hand(response_id, group, epoch=epoch, lease_s=lease_s, tell=tell, is_urgent=is_urgent)

    async def commit(self, outcome: Outcome, last: Group, *, owner: str, epoch: str) -> None:
        """See `ResponseStore.commit`."""
        response = outcome.response
        partition = ids.get_partition(response.id)
        end = await self._stage(outcome, owner, epoch)
        conversation_id = response.conversation.id if response.conversation is not UNSET else ""
        touching = begin_touching(self._scripts, owner, conversation_id) if conversation_id else None
        written = await self._scripts.call(
            "commit",
            response_key=keys.response(response.id),
            log_key=keys.event_log(response.id),
            leases_key=keys.leases(partition),
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            response_id=response.id,
            epoch=epoch,
            status=response.status,
            result=outcome.result,
            failure=encode(outcome.failure) if outcome.failure else b"",
            after=last.after,
            last_number=last.last_number,
            signals=last.packed,
            items=end.packed,
            staged=end.staged,
            staged_length=end.length,
            fresh_timeline=ids.new_id(ids.TIMELINE, partition),
            log_retention_s=self._retention.log_s,
            retention_ms=self._retention.history_s * 1000,
            passages=_pack_passages(outcome),
            first_token_ms="" if outcome.first_token_ms is None else outcome.first_token_ms,
        )
        if touching is not None:
            await finish_touching(touching, self._scripts, owner, conversation_id)
        _check_written(written)

    async def seize(
        self, response_id: str, *, owner: str | None, lease_s: float, displaces: Displaces | None = None
    ) -> Seized | Unreadable | Status | None:
        """See `ResponseStore.seize`."""
        partition = ids.get_partition(response_id)
        reply = await self._scripts.call(
            "seize",
            response_key=keys.response(response_id),
            leases_key=keys.leases(partition),
            readers_key=keys.readers(response_id),
            prefix=keys.prefix(partition),
            response_id=response_id,
            canceller=owner or "",
            lease_ms=int(lease_s * 1000),
            replica_channels=keys.replica_channel(""),
            call_id=new_call_id(),
            replica_id=self._replica_id,
            spares=SPARES[displaces],
            history_bytes=self._history_bytes,
        )
        match reply:
            case [b"seized", *fields]:
                return await self._read_seized(response_id, fields)
            case [b"ended", status]:
                return cast(Status, status.decode())
            case [b"not_found"] if owner is not None:
                raise unknown_response(response_id)
        return None  # alive, spared, or erased meanwhile

    async def _read_seized(self, response_id: str, fields: Sequence[Any]) -> Seized | Unreadable | None:
        """With what it was asked, which no script reads: it may be megabytes. None when it was erased meanwhile."""
        epoch, attempts, ending, created_ms, owner, account, *newest_first = fields
        asked = await read_fields(self._redis, keys.response(response_id), ("echo", "input", "model_request"))
        if not any(asked):
            return None
        echo, given, model_request = (value or b"" for value in asked)
        try:
            return Seized(
                response=replace(decode_response(echo), created_at=created_ms // 1000),
                owner=owner.decode(),
                input=decode_items(given),
                model_request=decode_model_request(model_request),
                model_input=decode_account(account),
                epoch=epoch.decode(),
                attempts=attempts,
                ending=ending.decode(),
                window=await self._read_window(newest_first),
            )
        except Exception as error:  # whatever is wrong with it, it must come to an end
            if isinstance(error, Unavailable) and not isinstance(error, BrokenRecord):
                raise
            log.exception("response_unreadable", response_id=response_id)
        response = _read_echo(response_id, echo, created_ms // 1000)
        return Unreadable(response, owner.decode(), epoch.decode(), attempts, ending.decode())

    async def release(self, response_id: str, *, epoch: str, is_broken: bool) -> None:
        """See `ResponseStore.release`."""
        written = await self._scripts.call(
            "release",
            response_key=keys.response(response_id),
            leases_key=keys.leases(ids.get_partition(response_id)),
            response_id=response_id,
            epoch=epoch,
            ending="failed" if is_broken else "",
            lost_channel=keys.LOST_CHANNEL,
        )
        _check_written(written)

    @restored
    async def get(self, response_id: str, *, owner: str) -> StoredResponse:
        """See `ResponseStore.get`."""
        fields = ("status", "result", "echo", "created_ms", "failure", "unstored")
        found = await find_owned(self._redis, keys.response(response_id), owner, fields)
        status, result, echo, created_ms, failure, unstored = found or [None] * len(fields)
        if status is None or echo is None:
            raise unknown_response(response_id)
        if result and not echo:  # a compaction; the last release kept it without a status
            result = encode(decode_compacted(result))
        body = result or encode(_read_echo(response_id, echo, int(created_ms or 0) // 1000))
        told = decode_failure(failure) if failure else None
        return StoredResponse(cast(Status, status.decode()), body, told, is_stored=unstored is None)

    @restored
    async def get_passages(self, response_id: str, *, owner: str) -> Sequence[Passage]:
        """See `ResponseStore.get_passages`."""
        found = await find_owned(self._redis, keys.response(response_id), owner, ("status", "passages"))
        status, passages = found or (None, None)
        if status is None:
            raise unknown_response(response_id)
        return decode_passages(passages) if passages else []

    async def is_kept(self, response_id: str, *, owner: str) -> bool:
        """See `ResponseStore.is_kept`."""
        look = partial(find_owned, self._redis, keys.response(response_id), owner, ("status", "unstored"))
        found = await look()
        if found is None and await self.restorer.restore(response_id, owner=owner):
            found = await look()
        return found is not None and found[0] is not None and found[1] is None

    @restored
    async def delete(self, response_id: str, *, owner: str) -> None:
        """See `ResponseStore.delete`."""
        partition = ids.get_partition(response_id)
        is_erased = await self._scripts.call(
            "delete_response",
            response_key=keys.response(response_id),
            log_key=keys.event_log(response_id),
            leases_key=keys.leases(partition),
            expiry_key=keys.expiry(partition),
            prefix=keys.prefix(partition),
            owner=owner,
            response_id=response_id,
            tombstone_s=TOMBSTONE_S,
            replica_channels=keys.replica_channel(""),
            log_channel=keys.log_channel(response_id),
            call_id=new_call_id(),
        )
        if not is_erased:
            raise unknown_response(response_id)

    async def discard(self, response_id: str) -> None:
        """See `ResponseStore.discard`."""
        with translated_errors():
            pipeline = self._redis.pipeline(transaction=True)
            pipeline.unlink(keys.response(response_id), keys.event_log(response_id))
            pipeline.zrem(keys.leases(ids.get_partition(response_id)), response_id)
            await pipeline.execute()

    async def list_lost(self) -> Sequence[str]:
        """See `ResponseStore.list_lost`."""
        found = await read_due(self._redis, keys.leases, count=MAX_LOST)
        return [response_id.decode() for lost in found.values() for response_id in lost]


def _pack_passages(outcome: Outcome) -> bytes:
    return encode(outcome.passages) if outcome.passages else b""


def _read_admission(reply: Sequence[Any], draft: Draft, place: AnchorPlace | None) -> Attached | InTheWay:
    match reply:
        case [b"attach", earlier]:
            return Attached(earlier.decode())
        case [b"in_the_way", active, *missing]:
            return InTheWay(active.decode(), missing_calls=tuple(call_id.decode() for call_id in missing))
        case [b"ending", active]:
            return InTheWay(active.decode(), is_ending=True)
        case [b"may_not_begin"]:
            raise MayNotBegin
    raise _read_refusal(reply, draft, place)


def _shorten(request: ModelRequest, encoded: bytes) -> bytes:
    """What follow-ups need of it later, without the tools and formats of the answer; b"" where it saves little."""
    if len(encoded) < MIN_SHORTENED_BYTES:
        return b""
    rest = replace(request, tools=[], tool_choice="auto", text=TextConfig(), options=UNSET, cache_hints=UNSET)
    return encode_request(rest)


def _read_refusal(reply: Sequence[Any], draft: Draft, place: AnchorPlace | None) -> ServiceError:
    match reply:
        case [b"key_reused"]:
            return key_reused()
        case [b"unknown_call", call_id]:
            return UnknownCall(call_id.decode())
    if place is None:  # deleted between the client library's first try and its second
        return unknown_response(draft.response.id)
    match reply:
        case [b"too_deep"]:
            return HistoryTooDeep(param=place.unknown.param or "input")
        case [b"locked", active, *followed]:
            return conversation_locked(place.id, active.decode(), is_followed=bool(followed))
        case [b"not_ended", status, *followed]:
            return response_not_ended(place.id, status.decode(), is_followed=bool(followed))
    return place.unknown


def _check_written(answer: int) -> None:
    """Raises StaleRun or TailLost for what a script of a run answers when it has not written."""
    if answer == 0:
        raise StaleRun
    if answer < 0:
        raise TailLost(-answer)
    if answer == STAGED_GONE:
        raise Unavailable("What this response said could not be kept in time. Try again.")


def _read_echo(response_id: str, echo: bytes | None, created_at: int) -> Response:
    """The response as it was created; if that cannot be read either, its id and its time."""
    try:
        return replace(decode_response(echo or b""), created_at=created_at)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Response(id=response_id, created_at=created_at, status="in_progress", model="unknown")
