"""The callers of keys, remembered for a second: a client with a request after another is looked up once.

What is remembered is the owner of a key that opens everything and does not end by itself, without a limit of tokens.
Everybody else is looked up at every request, as are client secrets. A key that is not valid is never remembered, so
that a new one works at once.

Where requests are limited, each is counted in Redis before it is served. Of a key that is asked with often, a look-up
counts as many ahead as are to be expected until the next one; what does not come is counted all the same. So a limit
is never exceeded at any number of replicas, and near it every request is counted by itself.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from msgspec.structs import replace
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
# A key with fewer requests within `KEPT_S` is looked up at each; of one with more, so many are counted ahead at most:
# the script counts each, a microsecond.
MIN_BUSY = 8
MAX_AHEAD = 200


class _Kept:
    """What is known of one key: until when, and how often it was asked with."""

    __slots__ = ("asked", "begins", "busy", "caller", "is_asking", "left", "until")

    def __init__(self, now: float) -> None:
        self.caller: Caller | None = None
        self.until = now
        self.left = 0
        """How many of the requests that were counted ahead have yet to come."""
        self.is_asking = False
        """Whether a look-up is under way that counts ahead."""
        self.begins = now
        self.asked = 0
        """How many requests there were since then."""
        self.busy = 0
        """How many there were in the time before."""

    def note(self, now: float) -> None:
        """A request."""
        if now >= self.begins + KEPT_S:
            self.busy = self.asked if now < self.begins + 2 * KEPT_S else 0
            self.begins, self.asked = now, 0
        self.asked += 1

    def expect(self) -> int:
        """How many more are to be expected soon: about half of what came lately, none of a key that is quiet."""
        lately = max(self.busy, self.asked)
        return min(lately // 2, MAX_AHEAD) if lately >= MIN_BUSY else 0


class RememberedApiKeys(ApiKeys):
    """`ApiKeys` that asks another one at most once a second for the same key."""

    def __init__(
        self, api_keys: ApiKeys, *, owner_places_in_all: int = 0, read_clock: Callable[[], float] = time.monotonic
    ) -> None:
        """An owner may have so many answers at all replicas; 0 is no limit."""
        self._api_keys = api_keys
        self._owner_places_in_all = owner_places_in_all
        self._read_clock = read_clock
        self._kept: dict[str, _Kept] = {}

    @override
    async def find_caller(self, key: str, *, ahead: int = 0) -> Caller | None:
        """See `ApiKeys.find_caller`. What it says was true within the last second."""
        key_hash = hash_key(key)
        asked_at = self._read_clock()
        kept = self._kept.get(key_hash)
        if kept is None:
            kept = _Kept(asked_at)
        kept.note(asked_at)
        if kept.caller is not None and asked_at < kept.until:
            if not kept.caller.limit:
                return kept.caller
            if kept.left:
                kept.left -= 1
                kept.caller = replace(kept.caller, remaining=kept.caller.remaining - 1)
                return kept.caller
        if kept.is_asking:  # those who come meanwhile count themselves
            return await self._api_keys.find_caller(key, ahead=ahead)
        kept.is_asking = True
        try:
            caller = await self._api_keys.find_caller(key, ahead=ahead + kept.expect())
        finally:
            kept.is_asking = False
        # From the moment of the question: Redis may have answered it at once, and the answer been long on its way.
        self._keep(key_hash, kept, asked_at + KEPT_S, caller)
        return caller

    def _keep(self, key_hash: str, kept: _Kept, until: float, caller: Caller | None) -> None:
        self._kept.pop(key_hash, None)
        if caller is None or not self._may_keep(caller):
            return
        if len(self._kept) >= MAX_KEPT:
            del self._kept[next(iter(self._kept))]  # the oldest
        self._kept[key_hash] = kept
        kept.caller, kept.until, kept.left = caller, until, caller.counted_ahead

    def _may_keep(self, caller: Caller) -> bool:
        is_whole = caller.maker is not None and caller.scopes == ALL_SCOPES and not caller.expires_at
        is_counted = caller.token_limits != NO_TOKEN_LIMITS
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
