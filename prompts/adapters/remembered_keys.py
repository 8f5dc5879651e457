"""The callers of keys, remembered for a second: a client with a request after another is looked up once.

What is remembered is only what Redis need not count: an owner without a limit of requests or tokens, whose key opens
everything and does not end by itself. Everybody else is looked up at every request, as are client secrets. A key that
is not valid is never remembered, so that a new one works at once.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from typing_extensions import override

from prompts.domain.ids import hash_key
from prompts.ports.api_keys import ApiKeys, Caller, NarrowedKey
from prompts.ports.client_secrets import ALL_SCOPES
from prompts.ports.token_meter import NO_TOKEN_LIMITS

# A revoked key opens nothing after this: what docs/security.md promises.
KEPT_S = 1.0
# Of a few hundred bytes each. A process serves fewer keys within a second.
MAX_KEPT = 4_096
# So many answers of one owner can begin at all replicas within `KEPT_S`, and not be known of here. An owner who is
# nearer to the limit of answers is looked up at every request.
BEGUN_MEANWHILE = 1_000


class RememberedApiKeys(ApiKeys):
    """`ApiKeys` that asks another one at most once a second for the same key."""

    def __init__(
        self, api_keys: ApiKeys, *, owner_places_in_all: int = 0, read_clock: Callable[[], float] = time.monotonic
    ) -> None:
        """An owner may have so many answers at all replicas; 0 is no limit."""
        self._api_keys = api_keys
        self._owner_places_in_all = owner_places_in_all
        self._read_clock = read_clock
        self._kept: dict[str, tuple[float, Caller]] = {}

    @override
    async def find_caller(self, key: str) -> Caller | None:
        """See `ApiKeys.find_caller`. What it says was true within the last second."""
        key_hash = hash_key(key)
        asked_at = self._read_clock()
        if (kept := self._kept.get(key_hash)) is not None and asked_at < kept[0]:
            return kept[1]
        caller = await self._api_keys.find_caller(key)
        # From the moment of the question: Redis may have answered it at once, and the answer been long on its way.
        self._keep(key_hash, asked_at + KEPT_S, caller)
        return caller

    def _keep(self, key_hash: str, until: float, caller: Caller | None) -> None:
        self._kept.pop(key_hash, None)
        if caller is None or not self._may_keep(caller):
            return
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]  # the oldest
        self._kept[key_hash] = (until, caller)

    def _may_keep(self, caller: Caller) -> bool:
        is_counted = caller.limit or caller.token_limits != NO_TOKEN_LIMITS
        is_whole = caller.maker is not None and caller.scopes == ALL_SCOPES and not caller.expires_at
        places = self._owner_places_in_all
        return is_whole and not is_counted and (not places or caller.elsewhere + BEGUN_MEANWHILE <= places)

    @override
    async def tell_running(self, answers: Mapping[str, int]) -> None:
        """See `ApiKeys.tell_running`."""
        await self._api_keys.tell_running(answers)

    @override
    async def published(self) -> dict[str, str]:
        """See `ApiKeys.published`."""
        return await self._api_keys.published()

    @override
    async def publish(self, *, added: Mapping[str, str], removed: Sequence[str]) -> None:
        """See `ApiKeys.publish`."""
        await self._api_keys.publish(added=added, removed=removed)
        self._kept.clear()

    @override
    async def published_narrowed(self) -> dict[str, NarrowedKey]:
        """See `ApiKeys.published_narrowed`."""
        return await self._api_keys.published_narrowed()

    @override
    async def publish_narrowed(self, *, added: Mapping[str, NarrowedKey], removed: Sequence[str]) -> None:
        """See `ApiKeys.publish_narrowed`."""
        await self._api_keys.publish_narrowed(added=added, removed=removed)
        self._kept.clear()

    @override
    async def list_used(self) -> dict[str, int]:
        """See `ApiKeys.list_used`."""
        return await self._api_keys.list_used()

    @override
    async def forget_used(self, used: Mapping[str, int]) -> None:
        """See `ApiKeys.forget_used`."""
        await self._api_keys.forget_used(used)
