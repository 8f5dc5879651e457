"""One page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, in the order asked for; each entry's JSON as it is shown."""

    data: Sequence[bytes]
    first_id: str | None
    last_id: str | None
    has_more: bool
