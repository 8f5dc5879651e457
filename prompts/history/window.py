"""Pure: the newest items of a history that fit a budget, as the store reads them of a stored one (`window.lua`)."""

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec

from prompts.domain.items import Item
from prompts.history.estimates import estimate_tokens

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class SizedItem:
    """An item of a history, with what it costs: estimated tokens, and bytes as it would be stored."""

    item: Item
    tokens: int
    size: int


@dataclass(frozen=True, slots=True)
class Window:
    """The newest items, oldest first, and how many before them did not fit."""

    items: Sequence[SizedItem]
    tokens: int
    dropped: int


def measure_item(item: Item) -> SizedItem:
    """The item with its costs, which are estimated once."""
    return SizedItem(item, estimate_tokens(item), len(encode(item)))


def take_window(items: Sequence[SizedItem], *, budget_tokens: float, max_bytes: float) -> Window:
    """The newest items within the budget, up to the first that does not fit."""
    tokens = size = 0
    start = len(items)
    for sized in reversed(items):
        tokens, size = tokens + sized.tokens, size + sized.size
        if tokens > budget_tokens or size > max_bytes:
            tokens -= sized.tokens
            break
        start -= 1
    return Window(items[start:], tokens, start)
