"""Input, follow-ups and feedback of a response: fields of its hash, erased with it."""

from collections.abc import Sequence
from typing import Any, Literal, cast

import msgspec
from msgspec import UNSET
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.echoes import read_echo
from prompts.adapters.redis.items import decode_item, read_large
from prompts.adapters.redis.response_store import HISTORY_BYTES
from prompts.adapters.redis.restored import restored
from prompts.adapters.redis.scripts import Scripts, find_owned
from prompts.domain import ids
from prompts.domain.item_kinds import HIDDEN_TYPES
from prompts.domain.items import KEPT
from prompts.domain.kept_thoughts import hide_kept
from prompts.domain.model_request import ModelRequest
from prompts.domain.responses import (
    Feedback,
    Response,
    Score,
    Status,
)
from prompts.errors import unknown_item, unknown_response
from prompts.ports.pages import Page, count_fitting
from prompts.ports.response_notes import Exchange
from prompts.ports.restoring import NO_RESTORER, Restorer


class _Listed(msgspec.Struct):
    """The fields of an item that a page of input needs."""

    id: str
    type: str
    kept: Any = msgspec.field(default=UNSET, name=KEPT)


encode = msgspec.json.Encoder().encode
decode_questions = msgspec.json.Decoder(list[str]).decode
decode_response = msgspec.json.Decoder(Response).decode
decode_model_request = msgspec.json.Decoder(ModelRequest).decode
decode_listed = msgspec.json.Decoder(list[_Listed]).decode
decode_raw = msgspec.json.Decoder(list[msgspec.Raw]).decode


class RedisResponseNotes:
    """`ResponseNotes` on Redis."""

    def __init__(self, redis: Redis, *, history_bytes: int = HISTORY_BYTES, restorer: Restorer = NO_RESTORER) -> None:
        """`history_bytes` is the most that a window takes, whatever its tokens."""
        self.restorer = restorer
        self._redis = redis
        self._history_bytes = history_bytes
        self._scripts = Scripts(redis)

    @restored
    async def list_input(
        self, response_id: str, *, owner: str, limit: int, order: Literal["asc", "desc"], after: str | None
    ) -> Page:
        """See `ResponseNotes.list_input`."""
        [stored] = await self._read(response_id, owner, "input")
        items = _read_shown(stored or b"[]")
        if order == "desc":
            items.reverse()
        start = 0 if after is None else _find(after, items) + 1
        size = count_fitting([len(item) for _, item in items[start : start + limit]])
        page = items[start : start + size]
        first_id, last_id = (page[0][0], page[-1][0]) if page else (None, None)
        data = [item for _, item in page]
        return Page(data=data, first_id=first_id, last_id=last_id, has_more=len(items) > start + size)

    @restored
    async def find_follow_ups(self, response_id: str, *, owner: str, history_tokens: int) -> Sequence[str] | Exchange:
        """See `ResponseNotes.find_follow_ups`."""
        reply = await self._scripts.call(
            "find_follow_ups",
            response_key=keys.response(response_id),
            prefix=keys.prefix(ids.get_partition(response_id)),
            owner=owner,
            history_tokens=history_tokens,
            history_bytes=self._history_bytes,
        )
        match reply:
            case [b"kept", questions]:
                return decode_questions(questions)
            case [b"none", status, *newest_first]:
                echo = await read_echo(self._redis, response_id, owner=owner)
                [model_request] = await self._read(response_id, owner, "model_request")
                if echo is None or model_request is None:
                    return []  # a compaction: nobody asked anything that could be followed up
                window = await read_large(self._redis, newest_first, is_whole=True)
                return Exchange(
                    status=cast(Status, status.decode()),
                    instructions=echo.instructions,
                    model_request=decode_model_request(model_request),
                    window=[decode_item(item) for item in reversed(window)],
                )
        raise unknown_response(response_id)

    async def keep_follow_ups(self, response_id: str, questions: Sequence[str], *, owner: str) -> Sequence[str]:
        """See `ResponseNotes.keep_follow_ups`."""
        kept = await self._scripts.call(
            "keep_follow_ups",
            response_key=keys.response(response_id),
            prefix=keys.prefix(ids.get_partition(response_id)),
            owner=owner,
            questions=encode(questions),
        )
        if kept is None:
            raise unknown_response(response_id)
        return decode_questions(kept)

    @restored
    async def put_feedback(self, response_id: str, *, owner: str, score: Score, comment: str | None) -> Feedback:
        """See `ResponseNotes.put_feedback`."""
        said_ms = await self._scripts.call(
            "put_feedback",
            response_key=keys.response(response_id),
            prefix=keys.prefix(ids.get_partition(response_id)),
            owner=owner,
            score=score,
            comment=comment or "",
            has_comment=int(comment is not None),
        )
        if not said_ms:
            raise unknown_response(response_id)
        return Feedback(score, comment, said_ms // 1000)

    @restored
    async def find_feedback(self, response_id: str, *, owner: str) -> Feedback | None:
        """See `ResponseNotes.find_feedback`."""
        fields = ("feedback_score", "feedback_comment", "feedback_ms")
        score, comment, said_ms = await self._read(response_id, owner, *fields)
        if score is None:
            return None
        told = None if comment is None else comment.decode()
        return Feedback(cast(Score, int(score)), told, int(said_ms or 0) // 1000)

    async def _read(self, response_id: str, owner: str, *fields: str) -> list[bytes | None]:
        """Some fields of the owner's response. Raises NotFound, Unavailable."""
        found = await find_owned(self._redis, keys.response(response_id), owner, ("unstored", *fields))
        if found is None or found[0] is not None:
            raise unknown_response(response_id)
        return found[1:]


def _read_shown(stored: bytes) -> list[tuple[str, bytes]]:
    """Ids and JSON of the items that are shown, in order."""
    items = zip(decode_listed(stored), decode_raw(stored), strict=True)
    return [(listed.id, _show(listed, bytes(raw))) for listed, raw in items if listed.type not in HIDDEN_TYPES]


def _show(listed: _Listed, raw: bytes) -> bytes:
    """What is kept with a call comes into an input where the call is named by its id; nobody is shown it."""
    return raw if listed.kept is UNSET else encode(hide_kept(decode_item(raw)))


def _find(item_id: str, items: Sequence[tuple[str, bytes]]) -> int:
    for index, (found_id, _) in enumerate(items):
        if found_id == item_id:
            return index
    raise unknown_item(item_id, param="after")
