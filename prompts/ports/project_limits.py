"""How much the owners may ask: the published copy of what is set for their projects."""

from collections.abc import Mapping
from typing import Protocol

from msgspec import Struct


class Limits(Struct, frozen=True, omit_defaults=True):
    """What is set for an owner. None: the server's setting; 0: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    tokens_per_month: int | None = None


class ProjectLimits(Protocol):
    """The published copy of the projects' limits; requests are held against it (`ApiKeys.find_caller`)."""

    async def published(self) -> dict[str, Limits]:
        """All that is published, by owner. Raises Unavailable."""

    async def publish(self, changed: Mapping[str, Limits]) -> None:
        """Replace the limits of these owners, in one step; those that set nothing go. Raises Unavailable."""
