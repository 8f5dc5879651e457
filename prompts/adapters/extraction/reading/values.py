"""Values with commas, or something like them, between them."""

import csv

from prompts.adapters.extraction.reading.blocks import MAX_COLUMNS, Blocks, compose_rows

MAX_FIELD_CHARACTERS = 1_000_000
SNIFFED_CHARACTERS = 20_000
DELIMITERS = ",;\t|"


def read_csv(text: str, blocks: Blocks) -> None:
    """Each row with the names that the first one has."""
    csv.field_size_limit(MAX_FIELD_CHARACTERS)
    try:
        dialect: type[csv.Dialect] = csv.Sniffer().sniff(text[:SNIFFED_CHARACTERS], delimiters=DELIMITERS)
    except csv.Error:
        dialect = csv.excel_tab if "\t" in text.partition("\n")[0] else csv.excel
    rows = csv.reader(text.splitlines(keepends=True), dialect)
    try:
        for row in compose_rows(row[:MAX_COLUMNS] for row in rows if any(cell.strip() for cell in row)):
            blocks.add(row, "table")
    except csv.Error:
        for line in text.splitlines():
            blocks.add(line, "table")
