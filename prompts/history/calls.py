"""Pure: calls and their outputs, of whatever kind. They belong together by `call_id`, which may be used again later."""

from collections.abc import Sequence

from prompts.domain.item_kinds import ITEM_KINDS, ItemKinds, find_answered_call, find_made_call
from prompts.domain.items import Item
from prompts.errors import InvalidRequest

# Calls of a history that one request may answer: each is looked for in several places. OpenAI's models are offered at
# most 128 tools, and call a handful of them at once.
MAX_EARLIER_CALLS = 128


def find_unanswered(items: Sequence[Item], kinds: ItemKinds = ITEM_KINDS) -> list[str]:
    """Ids of the calls whose outputs are here and which are not, each once: somebody must have made them before.

    Raises InvalidRequest when they are more than can be looked for.
    """
    made: set[str] = set()
    unanswered: dict[str, None] = {}  # a set that keeps its order
    for item in items:
        if call_id := find_made_call(item, kinds):
            made.add(call_id)
        elif (answered := find_answered_call(item, kinds)) and answered not in made:
            unanswered[answered] = None
    if len(unanswered) > MAX_EARLIER_CALLS:
        raise InvalidRequest(
            f"These are outputs of {len(unanswered):,} calls of earlier requests, and one request may bring "
            f"{MAX_EARLIER_CALLS}. Send the calls before their outputs, or the outputs in several requests."
        )
    return list(unanswered)


def drop_unanswered(items: Sequence[Item], kinds: ItemKinds = ITEM_KINDS) -> list[Item]:
    """The items without calls that are cut off or lack their output, and without outputs that lack their call.

    Model servers refuse calls without outputs and outputs without calls.
    """
    paired = [item for item in items if kinds[type(item)].pairing]
    if not paired:
        return [*items]
    answered = _find_answered(items, kinds)
    return [item for place, item in enumerate(items) if place in answered or not _is_paired(item, kinds)]


def find_places_inside(items: Sequence[Item], kinds: ItemKinds = ITEM_KINDS) -> set[int]:
    """The places between a call and its output."""
    calls: dict[str, int] = {}
    inside: set[int] = set()
    for place, item in enumerate(items):
        if call_id := find_made_call(item, kinds):
            calls[call_id] = place
        elif (answered := find_answered_call(item, kinds)) in calls and answered is not None:
            inside.update(range(calls[answered] + 1, place + 1))
    return inside


def _is_paired(item: Item, kinds: ItemKinds) -> bool:
    """Whether it is a call that needs an output, or the other way round."""
    return bool(find_made_call(item, kinds) or find_answered_call(item, kinds))


def _find_answered(items: Sequence[Item], kinds: ItemKinds) -> set[int]:
    """The places of whole calls that have an output, and of these outputs."""
    calls: dict[str, int] = {}
    answered: set[int] = set()
    for place, item in enumerate(items):
        if call_id := find_made_call(item, kinds):
            if getattr(item, "status", "completed") == "completed":
                calls[call_id] = place
        elif (output_of := find_answered_call(item, kinds)) in calls and output_of is not None:
            answered |= {calls.pop(output_of), place}
    return answered
