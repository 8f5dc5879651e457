"""Pure: what the model is given, from the instructions, the window of the history and the new input."""

from collections.abc import Sequence
from contextlib import suppress

import msgspec
from msgspec.structs import replace

from prompts.answer.thought_seals import unpack_thought
from prompts.domain.item_kinds import find_speaker
from prompts.domain.items import Compaction, InputText, Item, Message, OutputText, Reasoning, Refusal
from prompts.domain.named_files import fill_files
from prompts.errors import BrokenSeal
from prompts.history.calls import drop_unanswered, find_places_inside
from prompts.history.compaction import Unseal, apply_compactions, replace_with_notes
from prompts.history.kept_thoughts import recall_thoughts

_WORDS = frozenset({InputText, OutputText, Refusal})


def compose_items(
    *,
    instructions: str | None,
    window: Sequence[Item],
    new_input: Sequence[Item],
    unseal: Unseal,
    compaction: Compaction | None = None,
) -> list[Item]:
    """Instructions first, then previous input and output in order, then the new input (docs/api.md, "Asking").

    In place of files that are named by their ids stands what they hold.

    No compaction is left in it (`prompts.history.compaction`). `compaction` is the one that this answer began with.
    """
    given = [*window, *new_input]
    if compaction is None and all(map(_is_said, given)):  # nearly all histories: there is nothing to replace
        return [*compose_instructions(instructions), *given]
    items = apply_compactions(given, unseal)
    opened = [_reopen(item, unseal) if isinstance(item, Reasoning) else item for item in items]
    items = _drop_incomplete(recall_thoughts([fill_files(item) for item in opened]))
    if compaction is not None:
        with suppress(BrokenSeal):
            items = replace_with_notes(items, unseal("compaction", compaction.encrypted_content))
    return [*compose_instructions(instructions), *items]


def compose_instructions(instructions: str | None) -> list[Item]:
    """What stands before everything else."""
    return [_system(instructions)] if instructions else []


def drop_oldest(items: Sequence[Item]) -> list[Item] | None:
    """The items without the older half of all but the system's; None when nothing can go.

    A call and its output stay or go together, and the last item stays: a little less or more than half may go.
    """
    is_standing = [isinstance(item, Message) and item.role in ("system", "developer") for item in items]
    turns = [item for item, stands in zip(items, is_standing, strict=True) if not stands]
    inside = find_places_inside(turns)
    places = [place for place in range(1, len(turns)) if place not in inside]
    if not places:
        return None
    half = len(turns) // 2
    cut = max((place for place in places if place <= half), default=places[0])
    gone = iter(range(cut))
    window = [item for item, stands in zip(items, is_standing, strict=True) if stands or next(gone, None) is None]
    return _drop_incomplete(window)


def _is_said(item: Item) -> bool:
    """Whether it is a message of nothing but words."""
    return type(item) is Message and not item.kept and _WORDS.issuperset(map(type, item.content))


def _drop_incomplete(items: Sequence[Item]) -> list[Item]:
    """The items without calls that are not whole or not answered, and without thoughts that led to nothing here.

    A thought belongs to what the model said next; where that is gone, so is the thought.
    """
    kept: list[Item] = []
    for item in reversed(drop_unanswered(items)):
        if isinstance(item, Reasoning) and not (kept and find_speaker(kept[-1]) == "model"):
            continue
        kept.append(item)
    return kept[::-1]


def _reopen(thought: Reasoning, unseal: Unseal) -> Reasoning:
    """The thought with the seal of the model's own server, if it has one, in place of ours."""
    if not thought.encrypted_content:
        return thought
    try:
        content = unpack_thought(unseal("reasoning", thought.encrypted_content)).model_content
    except (BrokenSeal, msgspec.MsgspecError):
        content = None
    return replace(thought, encrypted_content=content or msgspec.UNSET)


def _system(text: str) -> Message:
    return Message(id="", status="completed", role="system", content=[InputText(text)])
