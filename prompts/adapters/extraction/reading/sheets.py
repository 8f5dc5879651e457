"""Worksheets: rows of values."""

from collections.abc import Iterator
from typing import IO, Any

import openpyxl

from prompts.adapters.extraction.reading.blocks import MAX_COLUMNS, Blocks, compose_rows, squeeze


def read_xlsx(file: IO[bytes], blocks: Blocks) -> None:
    """Each row of each sheet with the names that the sheet's first row has; values, not formulas."""
    book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    for number, sheet in enumerate(book.worksheets, 1):
        blocks.add(squeeze(str(sheet.title)), "heading", level=1, page=number)
        sheet.reset_dimensions()  # what a file says of its own size may be anything
        for row in compose_rows(_list_rows(sheet)):
            blocks.add(row, "table", page=number)


def _list_rows(sheet: Any) -> Iterator[list[str]]:
    """The cells of each row that has any."""
    empty: tuple[Any, ...] | None = None
    for row in sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS):
        if row is empty:  # what stands for each row that is not there: of a million, all but two may be missing
            continue
        if row.count(None) == len(row):
            empty = row
            continue
        yield ["" if value is None else str(value) for value in row]
