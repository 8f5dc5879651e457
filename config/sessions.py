"""Django's sessions in the cache; an unreachable cache does not end them.

When the cache raises, Django's own backend takes the session for missing and has the browser forget it: a person who
clicked during a fail-over would have to sign in again. With this backend the request fails, and the next one finds the
session.

What in the cache is not the JSON of a session is no session: somebody else has written it.
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
        try:
            content = self._cache.get(self.cache_key)
        except ValueError:
            content = None
        return self._read_content(content)

    @override
    async def aload(self) -> dict[str, Any]:
        """The same, async."""
        try:
            content = await self._cache.aget(await self.acache_key())
        except ValueError:
            content = None
        return self._read_content(content)

    def _read_content(self, content: object) -> dict[str, Any]:
        if isinstance(content, dict):
            return content
        self._session_key = None
        return {}
