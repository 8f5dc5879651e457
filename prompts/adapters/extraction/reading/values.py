"""Values with commas, or something like them, between them."""

import csv

from prompts.adapters.extraction.reading.blocks import Blocks, compose_row, squeeze

MAX_FIELD_CHARACTERS = 1_000_000
SNIFFED_CHARACTERS = 20_000
DELIMITERS = ",;\t|"
# A wider row is no table that anybody reads.
MAX_COLUMNS = 1_000


def read_csv(text: str, blocks: Blocks) -> None:
    """Each row with the names that the first one has."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:SNIFFED_CHARACTERS], delimiters=DELIMITERS)
    except csv.Error:
        dialect = csv.excel_tab if "\t" in text.partition("\n")[0] else csv.excel
    names: list[str] | None = None
    try:
        for row in csv.reader(text.splitlines(keepends=True), dialect):
            if not any(cell.strip() for cell in row):
                continue
            if names is None:
                names = [squeeze(cell) for cell in row[:MAX_COLUMNS]]
            else:
                blocks.add(compose_row(names, row[:MAX_COLUMNS]), "table")
    except csv.Error:
        for line in text.splitlines():
            blocks.add(line, "table")
        return
    if blocks.is_empty and names:
        blocks.add(" | ".join(names), "table")
