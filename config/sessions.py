"""Django's sessions in the cache, which a cache that is away does not end.

Django takes a cache that raises for a session that is not there, and has the browser forget it: whoever clicked during
a fail-over would have to sign in again. Here such a request fails, and the next one finds the session as it was.
"""

from typing import Any

from django.contrib.sessions.backends import cache
from django.core.cache.backends.base import BaseCache
from typing_extensions import override


class SessionStore(cache.SessionStore):
    """For `SESSION_ENGINE`."""

    _cache: BaseCache

    @override
    def load(self) -> dict[str, Any]:
        """The session's content; raises what the cache raises."""
        return self._read_content(self._cache.get(self.cache_key))

    @override
    async def aload(self) -> dict[str, Any]:
        """The same."""
        return self._read_content(await self._cache.aget(await self.acache_key()))

    def _read_content(self, content: dict[str, Any] | None) -> dict[str, Any]:
        if content is None:
            self._session_key = None
        return content or {}
