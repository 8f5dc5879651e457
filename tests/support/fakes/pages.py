"""Pages of a list of items."""

from collections.abc import Sequence
from typing import Literal

from prompts.answer.events import encode
from prompts.domain.items import Item
from prompts.domain.kept_thoughts import hide_kept
from prompts.errors import unknown_item
from prompts.ports.pages import Page, count_fitting


def cut_page(items: Sequence[Item], *, limit: int, order: Literal["asc", "desc"], after: str | None) -> Page:
    """One page of `items`, which are oldest first. Raises NotFound for an unknown `after`."""
    ordered = list(items) if order == "asc" else list(reversed(items))
    start = 0 if after is None else find_place(after, ordered, param="after") + 1
    shown = [encode(hide_kept(item)) for item in ordered[start : start + limit]]
    size = count_fitting([len(item) for item in shown])
    page = ordered[start : start + size]
    first_id, last_id = (page[0].id, page[-1].id) if page else (None, None)
    return Page(shown[:size], first_id, last_id, has_more=len(ordered) > start + size)


def find_place(item_id: str, items: Sequence[Item], *, param: str) -> int:
    """The index of the item with this id. Raises NotFound."""
    for place, item in enumerate(items):
        if item.id == item_id:
            return place
    raise unknown_item(item_id, param=param)
