"""Reading the text of documents."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal, Protocol

from prompts.domain.passages import Block


class UnreadableFile(Exception):
    """A file without text that can be read; `code` is OpenAI's, the message says what to do. Nothing else is harmed."""

    def __init__(self, code: Literal["unsupported_file", "invalid_file"], message: str) -> None:
        super().__init__(message)
        self.code: Literal["unsupported_file", "invalid_file"] = code
        self.message = message


class TextExtractor(Protocol):
    """Reads txt, md, html, pdf, docx, pptx, xlsx, csv, json and source code."""

    async def extract(self, content: AsyncIterator[bytes], *, filename: str) -> Sequence[Block]:
        """The document's text in reading order; never empty. What a file is, its content says before its name.

        Time and memory are bounded. Raises UnreadableFile (empty, broken, locked, of no known kind, too long),
        Unavailable.
        """
