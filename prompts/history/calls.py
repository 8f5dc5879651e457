"""Pure: calls and their outputs, of whatever kind. They belong together by `call_id`, which may be used again later."""

from collections.abc import Sequence
from typing import Any, cast

from prompts.domain.item_kinds import ITEM_KINDS, ItemKinds
from prompts.domain.items import Item


def find_unanswered(items: Sequence[Item], kinds: ItemKinds = ITEM_KINDS) -> list[str]:
    """Ids of the calls whose outputs are here and which are not: somebody must have made them before."""
    made: set[str] = set()
    unanswered: list[str] = []
    for item in cast(Sequence[Any], items):
        match kinds[type(item)].pairing:
            case "call":
                made.add(item.call_id)
            case "output" if item.call_id not in made:
                unanswered.append(item.call_id)
    return unanswered


def drop_unanswered(items: Sequence[Item], kinds: ItemKinds = ITEM_KINDS) -> list[Item]:
    """The items without calls that are cut off or lack their output, and without outputs that lack their call.

    Model servers refuse calls without outputs and outputs without calls.
    """
    answered = _find_answered(items, kinds)
    return [item for place, item in enumerate(items) if place in answered or kinds[type(item)].pairing is None]


def find_places_inside(items: Sequence[Item], kinds: ItemKinds = ITEM_KINDS) -> set[int]:
    """The places between a call and its output."""
    calls: dict[str, int] = {}
    inside: set[int] = set()
    for place, item in enumerate(cast(Sequence[Any], items)):
        match kinds[type(item)].pairing:
            case "call":
                calls[item.call_id] = place
            case "output" if item.call_id in calls:
                inside.update(range(calls[item.call_id] + 1, place + 1))
    return inside


def _find_answered(items: Sequence[Item], kinds: ItemKinds) -> set[int]:
    """The places of whole calls that have an output, and of these outputs."""
    calls: dict[str, int] = {}
    answered: set[int] = set()
    for place, item in enumerate(cast(Sequence[Any], items)):
        match kinds[type(item)].pairing:
            case "call" if item.status == "completed":
                calls[item.call_id] = place
            case "output" if item.call_id in calls:
                answered |= {calls.pop(item.call_id), place}
    return answered
