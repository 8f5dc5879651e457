"""One page of a list."""

from collections.abc import Sequence
from dataclasses import dataclass

# A page ends before it is larger, unless its first entry alone is: a hundred images would be a reply of gigabytes.
MAX_PAGE_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list, in the order asked for; each entry's JSON as it is shown."""

    data: Sequence[bytes]
    first_id: str | None
    last_id: str | None
    has_more: bool


def count_fitting(sizes: Sequence[int]) -> int:
    """How many entries of these sizes fit on a page, from the first on; at least one when there are any."""
    left = MAX_PAGE_BYTES
    for count, size in enumerate(sizes):
        left -= size
        if left < 0 and count > 0:
            return count
    return len(sizes)
