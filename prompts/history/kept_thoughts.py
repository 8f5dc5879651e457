"""Pure: what is kept with the calls of a history becomes thoughts again, as a model is told them."""

from collections.abc import Sequence

from msgspec.structs import replace

from prompts.domain.item_kinds import find_speaker
from prompts.domain.items import Call, Item, Reasoning
from prompts.domain.kept_thoughts import get_kept, hide_kept


def recall_thoughts(items: Sequence[Item]) -> list[Item]:
    """The items, with what is kept with a call in the thoughts before it: in those that were shown, else in new ones.

    Seals are opened already.
    """
    told: list[Item] = []
    for item in items:
        kept = get_kept(item)
        if kept and isinstance(item, Call):
            told += [_think(content) for content in _fill_shown(told, kept)]
        told.append(hide_kept(item) if kept else item)
    return told


def _fill_shown(told: list[Item], kept: Sequence[str]) -> Sequence[str]:
    """Put it into the thoughts of this turn that have nothing sealed, in order; gives what is left of it."""
    places = _find_unsealed(told)
    for place, content in zip(places, kept, strict=False):
        told[place] = replace(told[place], encrypted_content=content)
    return kept[len(places) :]


def _find_unsealed(told: Sequence[Item]) -> list[int]:
    """Where the thoughts are that the model's present turn begins with and that were only shown."""
    start = len(told)
    while start > 0 and find_speaker(told[start - 1]) == "model":
        start -= 1
    turn = enumerate(told[start:], start)
    return [place for place, item in turn if isinstance(item, Reasoning) and not item.encrypted_content]


def _think(content: str) -> Reasoning:
    return Reasoning(id="", status="completed", summary=[], encrypted_content=content)
