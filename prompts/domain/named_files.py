"""Files that an item names by their ids. What they held when the item came is kept with it, for the model alone.

So a takeover and a later turn need no file, and a file that is deleted or expires changes no history. Whoever reads the
item sees the id that was sent.
"""

from collections.abc import Iterator, Sequence
from typing import TypeAlias, TypeGuard

import msgspec
from msgspec import UNSET
from msgspec.structs import replace

from prompts.domain.items import (
    CustomToolCallOutput,
    FunctionCallOutput,
    InputFile,
    InputImage,
    InputText,
    Item,
    Message,
)

Holder: TypeAlias = Message | FunctionCallOutput | CustomToolCallOutput
"""An item that may hold files."""
Attachment: TypeAlias = InputImage | InputFile

# For isinstance, which takes three times as long for a union.
_OUTPUTS = (FunctionCallOutput, CustomToolCallOutput)
_HOLDERS = (Message, *_OUTPUTS)
_ATTACHMENTS = (InputImage, InputFile)

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Attachment).decode
# Where nothing is kept: an earlier release has copied the item without it.
_MISSING = InputText("(a file that is not there any more)")


def list_named(item: object) -> Iterator[tuple[str, Attachment]]:
    """The parts that name a file, each with its place in the item."""
    name = "content" if isinstance(item, Message) else "output"
    for index, part in enumerate(_parts_of(item)):
        if _names_file(part):
            yield f"{name}[{index}]", part


def keep_files(item: object, told: Sequence[Attachment]) -> Item:
    """The item with what the model is told in place of the parts that name files, in their order."""
    assert isinstance(item, _HOLDERS)
    return replace(item, kept=[encode(part).decode() for part in told])


def fill_files(item: Item) -> Item:
    """The item as the model is told it; the same one where it names no files."""
    if not any(map(_names_file, _parts_of(item))):
        return item
    assert isinstance(item, _HOLDERS)
    kept = iter(item.kept or ())
    filled = []
    for part in _parts_of(item):
        if _names_file(part):
            told = next(kept, None)
            filled.append(_MISSING if told is None else _decode(told))
        else:
            filled.append(part)
    if isinstance(item, Message):
        return replace(item, content=filled, kept=UNSET)
    return replace(item, output=filled, kept=UNSET)


def _names_file(part: object) -> TypeGuard[Attachment]:
    return isinstance(part, _ATTACHMENTS) and bool(part.file_id)


def _parts_of(item: object) -> Sequence[object]:
    """Those that may be files."""
    if isinstance(item, Message):
        return item.content
    if isinstance(item, _OUTPUTS) and not isinstance(item.output, str):
        return item.output
    return ()
