"""Word documents and slides."""

import re
from collections.abc import Iterable, Iterator
from typing import IO, Any

import docx
import pptx
from docx.document import Document
from docx.table import Table
from docx.text.paragraph import Paragraph

from prompts.adapters.extraction.reading.blocks import Blocks, compose_rows, squeeze

_HEADING = re.compile(r"heading ([1-9])\Z", re.IGNORECASE)
# Groups in groups, of shapes on a slide.
MAX_DEPTH = 20


def read_docx(file: IO[bytes], blocks: Blocks) -> None:
    """Headings, paragraphs and rows of tables."""
    document: Document = docx.Document(file)
    for part in document.iter_inner_content():
        if isinstance(part, Table):
            for row in _list_rows(part):
                blocks.add(row, "table")
        else:
            _read_paragraph(part, blocks)


def _read_paragraph(paragraph: Paragraph, blocks: Blocks) -> None:
    style = paragraph.style
    name = (style.name if style is not None else None) or ""
    if heading := _HEADING.match(name):
        blocks.add(squeeze(paragraph.text), "heading", level=min(6, int(heading[1])))
    elif name == "Title":
        blocks.add(squeeze(paragraph.text), "heading", level=1)
    elif "code" in name.lower() or "preformatted" in name.lower():
        blocks.add(paragraph.text, "code")
    elif name.startswith("List") and paragraph.text.strip():
        blocks.add(f"- {paragraph.text.strip()}")
    else:
        blocks.add(paragraph.text)


def read_pptx(file: IO[bytes], blocks: Blocks) -> None:
    """The title, the texts, the tables and the notes of each slide."""
    for number, slide in enumerate(pptx.Presentation(file).slides, 1):
        title = slide.shapes.title
        if title is not None:
            blocks.add(squeeze(title.text_frame.text), "heading", level=1, page=number)
        for shape in _list_shapes(slide.shapes, 0):
            if title is None or shape.shape_id != title.shape_id:
                _read_shape(shape, number, blocks)
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            blocks.add(slide.notes_slide.notes_text_frame.text, page=number)


def _read_shape(shape: Any, number: int, blocks: Blocks) -> None:
    if getattr(shape, "has_table", False):
        for row in _list_rows(shape.table):
            blocks.add(row, "table", page=number)
    elif shape.has_text_frame:
        blocks.add(shape.text_frame.text.replace("\v", "\n"), page=number)


def _list_shapes(shapes: Iterable[Any], depth: int) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            if depth < MAX_DEPTH:
                yield from _list_shapes(shape.shapes, depth + 1)
        else:
            yield shape


def _list_rows(table: Any) -> Iterator[str]:
    """The rows of a table of Word's or of a slide, each with the names that the first one has."""
    return compose_rows([cell.text for cell in row.cells] for row in table.rows)
