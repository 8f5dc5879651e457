"""From which pages browsers may use the API: the published copy of what projects allow."""

from collections.abc import Mapping
from typing import Protocol


class Origins(Protocol):
    """The published copy of the projects' allowed origins."""

    async def allows(self, origin: str, *, owner: str | None) -> bool:
        """Whether this owner allows pages of the origin; without an owner, whether anybody does. Raises Unavailable.

        An origin is compared as a whole, as browsers send it.
        """

    async def published(self) -> dict[str, frozenset[str]]:
        """All that is published: of each origin, the owners who allow it. Raises Unavailable."""

    async def publish(self, changed: Mapping[str, frozenset[str]]) -> None:
        """Replace the owners of these origins, in one step; an origin without owners goes. Raises Unavailable."""
