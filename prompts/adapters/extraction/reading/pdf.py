"""PDF: the text of each page, in paragraphs."""

import re
from typing import IO

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from prompts.adapters.extraction.reading.blocks import Blocks
from prompts.ports.text_extractor import UnreadableFile

# Of a document with more, others are better split, too.
MAX_PAGES = 5_000
# What the library raises at a broken page.
PAGE_FAILURES = (PyPdfError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
_PARAGRAPHS = re.compile(r"\n\s*\n")


def read_pdf(file: IO[bytes], blocks: Blocks) -> None:
    """The text of each page. Raises UnreadableFile."""
    reader = PdfReader(file, strict=False)
    if reader.is_encrypted and not reader.decrypt(""):
        raise UnreadableFile("invalid_file", "The PDF is locked with a password. Send it without one.")
    failed = 0
    count = 0
    for number, page in enumerate(reader.pages, 1):
        if number > MAX_PAGES:
            message = f"The PDF has more than {MAX_PAGES:,} pages. Split it into several files."
            raise UnreadableFile("invalid_file", message)
        count = number
        try:
            text = page.extract_text()
        except PAGE_FAILURES:
            failed += 1  # one broken page: the others can be read
            continue
        for paragraph in _PARAGRAPHS.split(text):
            blocks.add(paragraph, page=number)
    if blocks.is_empty and failed:
        raise UnreadableFile("invalid_file", "The PDF is broken. Print it into a new one, and send that.")
    if blocks.is_empty and count:
        message = "The PDF holds no text: it may be scanned. Have its text recognised (OCR), and send it again."
        raise UnreadableFile("invalid_file", message)
