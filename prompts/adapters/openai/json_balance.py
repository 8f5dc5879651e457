"""Whether a JSON document that comes in pieces is whole, each piece read once, however often it is asked."""

import re

from prompts.adapters.openai.lines import is_document

_MARK = re.compile(r'\\(?:.|$)|["{}\[\]]', re.DOTALL)


class JsonBalance:
    """The brackets of one document as far as it has come."""

    def __init__(self) -> None:
        self._read = 0
        """How many pieces were read."""
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False
        """Whether the next character belongs to a backslash at the end of the piece before."""
        self._closings = 0
        """How often the outermost bracket was closed; a document does it once."""
        self._is_whole = False

    def is_whole(self, pieces: list[str]) -> bool:
        """Whether these pieces, which only ever become more, are one object or list, ended by the last of them."""
        if self._read < len(pieces):
            for piece in pieces[self._read :]:
                self._read_piece(piece)
            self._read = len(pieces)
            is_closed = self._closings == 1 and self._depth == 0 and pieces[-1].rstrip().endswith(("}", "]"))
            self._is_whole = is_closed and not self._is_in_string and is_document("".join(pieces))
        return self._is_whole

    def _read_piece(self, piece: str) -> None:
        start = int(self._is_escaped and bool(piece))
        self._is_escaped = self._is_escaped and not piece
        for found in _MARK.finditer(piece, start):
            mark = found[0]
            if mark[0] == "\\":
                self._is_escaped = len(mark) == 1
            elif mark == '"':
                self._is_in_string = not self._is_in_string
            elif not self._is_in_string:
                self._turn(1 if mark in "{[" else -1)

    def _turn(self, by: int) -> None:
        self._depth += by
        self._closings += self._depth == 0
