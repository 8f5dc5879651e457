"""Django's sessions in the cache; an unreachable cache does not end them.

When the cache raises, Django's own backend takes the session for missing and has the browser forget it: a person who
clicked during a fail-over would have to sign in again. With this backend the request fails, and the next one finds the
session.
"""

from typing import Any

from django.contrib.sessions.backends import cache
from django.core.cache.backends.base import BaseCache
from typing_extensions import override


class SessionStore(cache.SessionStore):
    """The class that Django expects in the module of `SESSION_ENGINE`."""

    _cache: BaseCache

    @override
    def load(self) -> dict[str, Any]:
        """The session's content. Raises the cache's errors."""
        return self._read_content(self._cache.get(self.cache_key))

    @override
    async def aload(self) -> dict[str, Any]:
        """The same, async."""
        return self._read_content(await self._cache.aget(await self.acache_key()))

    def _read_content(self, content: dict[str, Any] | None) -> dict[str, Any]:
        if content is None:
            self._session_key = None
        return content or {}
