"""Where calls stand: directly in front of their outputs, as every server wants it.

Their outputs follow them at once, unless somebody has spoken in between: then the output keeps its place, and its call
moves down to it. Semantic Kernel repeats the question before the output; a model that finds the question behind the
output calls again.
"""

from collections.abc import Mapping, Sequence
from itertools import count, takewhile

from prompts.domain.item_kinds import find_answered_call, find_made_call
from prompts.domain.items import Item, Message, Reasoning


def bring_calls_to_outputs(items: Sequence[Item]) -> list[Item]:
    """Move each such call, with the thought that led to it, to the front of its output."""
    moves = _find_moves(items)
    moved = set(moves.values())
    arranged: list[Item] = []
    for place, item in enumerate(items):
        if place in moves and place - 1 not in moves:
            arranged += _list_calls(items, _list_run(moves, place))
        if place not in moved and not _leads_to_moved_only(items, place, moved):
            arranged.append(item)
    return arranged


def _list_run(moves: Mapping[int, int], start: int) -> list[int]:
    """The places of the calls of the outputs that begin here, one after another."""
    return [moves[place] for place in takewhile(moves.__contains__, count(start))]


def _list_calls(items: Sequence[Item], calls: Sequence[int]) -> list[Item]:
    """These calls side by side, after the thoughts that led to them."""
    thoughts = dict.fromkeys(thought for call in calls if (thought := _find_thought(items, call)) is not None)
    return [items[place] for place in (*thoughts, *calls)]


def _find_moves(items: Sequence[Item]) -> dict[int, int]:
    """Place of an output → place of its call, where a message of another stands between them. Ids may be used again."""
    calls: dict[str, int] = {}
    last_given = -1
    moves: dict[int, int] = {}
    for place, item in enumerate(items):
        if isinstance(item, Message):
            last_given = last_given if item.role == "assistant" else place
        elif call_id := find_made_call(item):
            calls[call_id] = place
        elif output_of := find_answered_call(item):
            call = calls.pop(output_of, None)
            if call is not None and call < last_given:
                moves[place] = call
    return moves


def _find_thought(items: Sequence[Item], call: int) -> int | None:
    """The place of the thought that led to a call."""
    place = call - 1
    while place >= 0 and _is_models(items[place]):
        place -= 1
    return place if place >= 0 and isinstance(items[place], Reasoning) else None


def _leads_to_moved_only(items: Sequence[Item], place: int, moved: set[int]) -> bool:
    """Whether this is a thought whose calls have all moved away."""
    if not isinstance(items[place], Reasoning):
        return False
    after = place + 1
    while after < len(items) and after in moved:
        after += 1
    return after > place + 1 and not (after < len(items) and find_made_call(items[after]) is not None)


def _is_models(item: Item) -> bool:
    return find_made_call(item) is not None or (isinstance(item, Message) and item.role == "assistant")
