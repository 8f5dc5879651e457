"""`Origins` in memory."""

from collections.abc import Mapping


class FakeOrigins:
    """`Origins` in memory."""

    def __init__(self) -> None:
        self._owners: dict[str, frozenset[str]] = {}

    async def allows(self, origin: str, *, owner: str | None) -> bool:
        """See `Origins.allows`."""
        owners = self._owners.get(origin, frozenset())
        return bool(owners) if owner is None else owner in owners

    async def published(self) -> dict[str, frozenset[str]]:
        """See `Origins.published`."""
        return dict(self._owners)

    async def publish(self, changed: Mapping[str, frozenset[str]]) -> None:
        """See `Origins.publish`."""
        self._owners = {origin: owners for origin, owners in (self._owners | dict(changed)).items() if owners}
