"""API keys: SQL has the truth (only a hash), Redis a published copy, and the publisher makes the two agree.

A key is made and revoked in SQL and published at once; what failed to be published, or was flushed, heals within a
minute, and a revoked key that is still published goes the same way. The other way comes when a key was used last.
"""

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import partial
from typing import cast

import structlog

from prompts.domain.owners import USER_PREFIX
from prompts.models import ApiKey
from prompts.ports.api_keys import ApiKeys, NarrowedKey
from prompts.ports.client_secrets import Scope
from prompts.publishing.reconciling import repeat_while_changing
from prompts.sql_calls import ask_sql

log = structlog.get_logger(__name__)

# Of one statement: SQLite takes 32,766 parameters, and a row has three.
ROWS_AT_ONCE = 500


def new_key() -> str:
    """A fresh key: 256 random bits, so that its plain hash cannot be turned back."""
    return f"eps-{secrets.token_urlsafe(32)}"


async def reconcile(published_keys: ApiKeys) -> None:
    """Make the published keys those of SQL.

    Redis is read first: a key that was published before SQL is read is in SQL, unless it was revoked; so a key that is
    being made at this moment is never taken for one to remove. Nor is one that is revoked meanwhile published again.
    """
    await repeat_while_changing(partial(_reconcile_once, published_keys))


async def _reconcile_once(published_keys: ApiKeys) -> bool:
    """Whether anything was added."""
    published, published_narrowed = await published_keys.published(), await published_keys.published_narrowed()
    wanted, wanted_narrowed = await ask_sql(_read_valid)
    added = {key_hash: owner for key_hash, owner in wanted.items() if published.get(key_hash) != owner}
    removed = [key_hash for key_hash in published if key_hash not in wanted]
    if added or removed:
        await published_keys.publish(added=added, removed=removed)
        log.info("api_keys_published", added=len(added), removed=len(removed))
    narrowed = {each: key for each, key in wanted_narrowed.items() if published_narrowed.get(each) != key}
    removed = [key_hash for key_hash in published_narrowed if key_hash not in wanted_narrowed]
    if narrowed or removed:
        await published_keys.publish_narrowed(added=narrowed, removed=removed)
        log.info("narrowed_keys_published", added=len(narrowed), removed=len(removed))
    return bool(added or narrowed)


async def keep_used(published_keys: ApiKeys) -> None:
    """Write down in SQL when keys were used last, as Redis has noted it. Raises Unavailable."""
    if used := await published_keys.list_used():
        await ask_sql(partial(_write_used, used))
        await published_keys.forget_used(used)


def _read_valid() -> tuple[dict[str, str], dict[str, NarrowedKey]]:
    """Keys that open everything, and the others, each by their hashes."""
    valid = list(ApiKey.objects.filter(revoked_at=None).exclude(owner__istartswith=USER_PREFIX))  # a user's things
    whole = {row.key_hash: row.owner for row in valid if not row.is_narrowed}
    return whole, {row.key_hash: _narrow(row) for row in valid if row.is_narrowed}


def _narrow(row: ApiKey) -> NarrowedKey:
    """An expired key stays published, so that whoever has it is told why it opens nothing."""
    scopes = cast("list[Scope]", row.scopes.split())  # the model's `clean` has checked them
    return NarrowedKey(row.owner, tuple(scopes), 0 if row.expires_at is None else int(row.expires_at.timestamp()))


def _write_used(used: Mapping[str, int]) -> None:
    hashes = list(used)
    for at in range(0, len(hashes), ROWS_AT_ONCE):
        rows = ApiKey.objects.filter(key_hash__in=hashes[at : at + ROWS_AT_ONCE])
        changed = [row for row in rows if _note(row, datetime.fromtimestamp(used[row.key_hash], UTC))]
        ApiKey.objects.bulk_update(changed, ["last_used_at"])


def _note(row: ApiKey, used_at: datetime) -> bool:
    """Whether the row did not know of this use yet: another replica may have told of a later one."""
    is_news = row.last_used_at is None or row.last_used_at < used_at
    row.last_used_at = used_at if is_news else row.last_used_at
    return is_news
