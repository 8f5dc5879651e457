"""What a model's server wants back with a call: what the model thought before it, as the protocol's adapter writes it.

It is kept when the client has not asked for it, and in the history alone: no answer, event, page or export shows it.
"""

from collections.abc import Sequence

from msgspec import UNSET
from msgspec.structs import replace

from prompts.domain.items import Call, Item


def get_kept(item: Item) -> Sequence[str]:
    """What is kept with the item."""
    return item.kept or () if isinstance(item, Call) else ()


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
    return replace(item, kept=UNSET) if isinstance(item, Call) and item.kept else item
