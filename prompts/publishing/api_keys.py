"""API keys: SQL has the truth (only a hash), Redis a published copy, and the publisher makes the two agree.

A key is made and revoked in SQL and published at once; what failed to be published, or was flushed, heals within a
minute, and a revoked key that is still published goes the same way.
"""

import secrets

import structlog
from asgiref.sync import sync_to_async
from django.db import close_old_connections

from prompts.domain.owners import USER_PREFIX
from prompts.models import ApiKey
from prompts.ports.api_keys import ApiKeys

log = structlog.get_logger(__name__)


def new_key() -> str:
    """A fresh key: 256 random bits, so that its plain hash cannot be turned back."""
    return f"eps-{secrets.token_urlsafe(32)}"


async def reconcile(published_keys: ApiKeys) -> None:
    """Make the published keys those of SQL.

    Redis is read first: a key that was published before SQL is read is in SQL, unless it was revoked; so a key that is
    being made at this moment is never taken for one to remove.
    """
    published = await published_keys.published()
    wanted = await sync_to_async(_read_valid, thread_sensitive=False)()
    added = {key_hash: owner for key_hash, owner in wanted.items() if published.get(key_hash) != owner}
    removed = [key_hash for key_hash in published if key_hash not in wanted]
    if added or removed:
        await published_keys.publish(added=added, removed=removed)
        log.info("api_keys_published", added=len(added), removed=len(removed))


def _read_valid() -> dict[str, str]:
    close_old_connections()  # no request ends in this thread, so Django does not close them
    try:
        valid = ApiKey.objects.filter(revoked_at=None).exclude(owner__istartswith=USER_PREFIX)  # a user's things
        return dict(valid.values_list("key_hash", "owner"))
    finally:
        close_old_connections()
