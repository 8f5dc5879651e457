"""Worksheets: rows of values."""

from typing import IO, Any

import openpyxl

from prompts.adapters.extraction.reading.blocks import Blocks, compose_row, squeeze

# A wider row is no table that anybody reads.
MAX_COLUMNS = 1_000


def read_xlsx(file: IO[bytes], blocks: Blocks) -> None:
    """Each row of each sheet with the names that the sheet's first row has; values, not formulas."""
    book = openpyxl.load_workbook(file, read_only=True, data_only=True, keep_links=False)
    for number, sheet in enumerate(book.worksheets, 1):
        blocks.add(squeeze(str(sheet.title)), "heading", level=1, page=number)
        sheet.reset_dimensions()  # what a file says of its own size may be anything
        names: list[str] | None = None
        has_rows = False
        empty: tuple[Any, ...] | None = None
        for row in sheet.iter_rows(values_only=True, max_col=MAX_COLUMNS):
            if row is empty:  # what stands for each row that is not there: of a million, all but two may be missing
                continue
            if row.count(None) == len(row):
                empty = row
                continue
            cells = ["" if value is None else str(value) for value in row]
            if names is None:
                names = [squeeze(cell) for cell in cells]
            else:
                has_rows = True
                blocks.add(compose_row(names, cells), "table", page=number)
        if names and not has_rows:
            blocks.add(" | ".join(filter(None, names)), "table", page=number)
