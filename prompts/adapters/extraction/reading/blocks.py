"""What a reader has found so far: written down in slices, within bounds."""

import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, Literal

import msgspec

from prompts.domain.passages import Block
from prompts.ports.text_extractor import UnreadableFile

# Ten times the longest books. Beyond it nobody searches in one file.
MAX_CHARACTERS = 20_000_000
MAX_BLOCKS = 400_000
# A wider row is no table that anybody reads.
MAX_COLUMNS = 1_000
# Of what is written, and read again, at once.
BLOCKS_A_LINE = 200
CHARACTERS_A_LINE = 200_000

encode = msgspec.json.Encoder().encode

_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class Blocks:
    """Takes blocks in reading order; the file gets a line of JSON for some of them, and one for the end."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._waiting: list[Block] = []
        self._waiting_characters = 0
        self._characters = 0
        self._count = 0

    def add(
        self,
        text: str,
        kind: Literal["heading", "paragraph", "code", "table"] = "paragraph",
        *,
        level: int = 0,
        page: int | None = None,
    ) -> None:
        """One block; blank ones are left out. Raises UnreadableFile when the document is too long."""
        text = clean(text)
        text = text.strip("\n") if kind == "code" else text.strip()
        if not text.strip():
            return
        self._count += 1
        self._characters += len(text)
        if self._characters > MAX_CHARACTERS or self._count > MAX_BLOCKS:
            message = f"The document is too long: more than {MAX_CHARACTERS:,} characters. Split it into several files."
            raise UnreadableFile("invalid_file", message)
        self._waiting.append(Block(text, kind, level, page))
        self._waiting_characters += len(text)
        if len(self._waiting) >= BLOCKS_A_LINE or self._waiting_characters >= CHARACTERS_A_LINE:
            self._write()

    @property
    def is_empty(self) -> bool:
        """Whether nothing was found yet."""
        return self._count == 0

    def end(self) -> None:
        """All was read. Raises UnreadableFile when that was nothing."""
        if self.is_empty:
            raise UnreadableFile("invalid_file", "The file holds no text. Send one that does.")
        self._write()
        self._file.write(b'{"is_whole":true}\n')

    def fail(self, error: UnreadableFile, *, cause: str = "") -> None:
        """Say why it cannot be read, whatever was found before; `cause` is for the log, and holds nothing of it."""
        self._file.write(encode({"code": error.code, "message": error.message, "cause": cause}) + b"\n")

    def _write(self) -> None:
        if self._waiting:
            self._file.write(encode(self._waiting) + b"\n")
        self._waiting, self._waiting_characters = [], 0


def clean(text: str) -> str:
    """Text that a store can hold: no control characters, no half ones; one kind of line break."""
    if not text.isascii():
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n").replace("\x0c", "\n"))


def squeeze(text: str) -> str:
    """The text on one line, with single blanks."""
    return " ".join(text.split())


def compose_rows(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Each row with the names that the first one has; these alone where nothing is below them."""
    names: list[str] | None = None
    is_alone = True
    for cells in rows:
        if names is None:
            names = [squeeze(cell) for cell in cells]
        elif said := compose_row(names, cells):
            is_alone = False
            yield said
    if names and is_alone:
        yield " | ".join(filter(None, names))


def compose_row(names: Sequence[str], cells: Sequence[str]) -> str:
    """A row of a table with the names of its columns, so that it is understood alone; empty cells are left out."""
    said = []
    for index, cell in enumerate(cells):
        if cell and (value := squeeze(cell)):
            name = names[index] if index < len(names) and names[index] else f"column {index + 1}"
            said.append(f"{name}: {value}")
    return "; ".join(said)


def open_output() -> Blocks:
    """What the process that waits for this one reads."""
    return Blocks(sys.stdout.buffer)
