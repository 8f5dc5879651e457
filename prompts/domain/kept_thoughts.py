"""What a model's server wants back with a call: what the model thought before it, as the protocol's adapter writes it.

It is kept when the client has not asked for it, and in the history alone: no answer, event, page or export shows it.
What named files hold is kept in the same way (`prompts.domain.named_files`).
"""

from collections.abc import Sequence
from typing import get_args

from msgspec import UNSET
from msgspec.structs import replace

from prompts.domain.items import Call, Item
from prompts.domain.named_files import Holder
from prompts.domain.responses import CompactedHistory

# For isinstance, which takes three times as long for a union.
_CALLS = get_args(Call)
_KEEPERS = (*get_args(Holder), *_CALLS)


def get_kept(item: Item) -> Sequence[str]:
    """What is kept with the item."""
    return item.kept or () if isinstance(item, _KEEPERS) else ()


def measure_kept(item: Call) -> int:
    """How many characters are kept with it."""
    return sum(map(len, item.kept or ()))


def with_kept(item: Item, kept: Sequence[str]) -> Item:
    """The item with this kept, when it is a call that is whole: no other goes back to a model."""
    if not (kept and isinstance(item, Call) and item.status == "completed"):
        return item
    return replace(item, kept=[*kept])


def hide_kept(item: Item) -> Item:
    """The item as it may be shown."""
    return replace(item, kept=UNSET) if isinstance(item, _KEEPERS) and item.kept else item


def hide_all_kept(compacted: CompactedHistory) -> CompactedHistory:
    """A compacted history as it may be shown."""
    return replace(compacted, output=[hide_kept(item) for item in compacted.output])
