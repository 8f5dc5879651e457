"""The published templates in Redis. SQL has the truth; this copy is what a turn reads."""

from collections.abc import Iterator, Mapping
from typing import cast

import msgspec
from redis.asyncio import Redis

from prompts.adapters.redis import keys
from prompts.adapters.redis.scripts import Scripts, translated_errors
from prompts.domain.prompts import PromptContent
from prompts.errors import Unavailable, unknown_prompt
from prompts.ports.prompts import FoundPrompt, Publication

encode = msgspec.json.Encoder().encode
decode_content = msgspec.json.Decoder(PromptContent).decode

# Of one script: it takes a millisecond.
MAX_BYTES_AT_ONCE = 512 * 1024
# Longer than anybody who has read the template before it was deleted takes to publish it.
WITHDRAWN_S = 600


class RedisPublishedPrompts:
    """`PublishedPrompts` on Redis."""

    def __init__(self, redis: Redis, *, max_bytes_at_once: int = MAX_BYTES_AT_ONCE) -> None:
        self._redis = redis
        self._scripts = Scripts(redis)
        self._max_bytes_at_once = max_bytes_at_once

    async def get(self, prompt_id: str, *, owner: str, number: int | None = None) -> FoundPrompt:
        """See `PublishedPrompts.get`."""
        reply = await self._scripts.call(
            "get_prompt",
            prompt_key=keys.prompt(prompt_id),
            asking=owner,
            number="" if number is None else str(number),
        )
        match reply:
            case [found, its_owner, content]:
                return FoundPrompt(int(found), its_owner.decode(), _read(content))
        raise unknown_prompt(prompt_id, number)

    async def publish(self, publication: Publication, *, wrong_revision: int = 0) -> bool:
        """See `PublishedPrompts.publish`."""
        slices = list(self._cut(publication.versions))
        for place, packed in enumerate(slices):
            is_published = await self._scripts.call(
                "publish_prompt",
                prompt_key=keys.prompt(publication.prompt_id),
                published_key=keys.PROMPTS,
                withdrawn_key=keys.withdrawn_prompt(publication.prompt_id),
                prompt_id=publication.prompt_id,
                revision=publication.revision,
                packed_versions=packed,
                owner=publication.owner,
                default=publication.default_number,
                is_last=int(place == len(slices) - 1),
                wrong_revision=wrong_revision,
                is_whole=int(publication.is_whole),
            )
            if not is_published:
                return False
        return True

    async def withdraw(self, prompt_id: str) -> None:
        """See `PublishedPrompts.withdraw`."""
        await self._scripts.call(
            "withdraw_prompt",
            prompt_key=keys.prompt(prompt_id),
            published_key=keys.PROMPTS,
            withdrawn_key=keys.withdrawn_prompt(prompt_id),
            prompt_id=prompt_id,
            remembered_s=WITHDRAWN_S,
        )

    async def list_revisions(self) -> Mapping[str, int]:
        """See `PublishedPrompts.list_revisions`."""
        with translated_errors():
            found = cast("dict[bytes, bytes]", await self._redis.hgetall(keys.PROMPTS))
        return {prompt_id.decode(): int(revision) for prompt_id, revision in found.items()}

    def _cut(self, versions: Mapping[int, PromptContent]) -> Iterator[bytes]:
        """The versions as a script takes them, a few at a time; at least one slice."""
        packed: list[str] = []
        size = 0
        for number, content in sorted(versions.items()):
            encoded = encode(content).decode()
            if packed and size + len(encoded) > self._max_bytes_at_once:
                yield encode(packed)
                packed, size = [], 0
            packed += [str(number), encoded]
            size += len(encoded)
        yield encode(packed)


def _read(content: bytes) -> PromptContent:
    try:
        return decode_content(content)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        # A newer release knows something that this one does not: another replica may serve it.
        raise Unavailable("This server cannot read the prompt yet. Try again later.", retry_after_s=5) from exc
