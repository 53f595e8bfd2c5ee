"""CSV as spreadsheets write it: records of cells with commas, semicolons or tabs between them."""

import csv
import io
from collections.abc import Collection
from itertools import islice, zip_longest
from typing import Any, NamedTuple

BYTE_ORDER_MARK = "\ufeff"
DELIMITERS = ",;\t"
# What a spreadsheet would take for a formula, and what stands before it so that it does not.
FORMULA, QUOTE = ("=", "+", "-", "@", "\t", "\r", "\n", "'"), "'"

# Fields have limits of their own.
csv.field_size_limit(2**30)


class Table(NamedTuple):
    """The rows by the names in the header, the number of each, what is wrong, what was between the cells.

    The header is row 1; empty rows are counted and left out. Errors are as pydantic's.
    """

    rows: list[dict[str, str]]
    numbers: list[int]
    errors: list[dict[str, Any]]
    delimiter: str


def read_table(text: str, columns: Collection[str], max_rows: int) -> Table:
    """Read a table that has some of the columns, and of too many rows only the first."""
    lines = io.StringIO(text.removeprefix(BYTE_ORDER_MARK), newline="")
    delimiter = max(DELIMITERS, key=lines.readline().count)
    lines.seek(0)
    table = Table([], [], [], delimiter)
    # https://www.rfc-editor.org/rfc/rfc4180
    records = enumerate(csv.reader(lines, delimiter=delimiter, strict=True), 1)
    number = 0

    def refuse(kind: str, *column: str) -> None:
        table.errors.append({"type": kind, "loc": ("row", number, *column)})

    try:
        number, header = next(records, (1, []))
        for column in islice(filter(None, dict.fromkeys(header)), max_rows):
            if column not in columns:
                refuse("extra_forbidden", column)
            elif header.count(column) > 1:
                refuse("duplicate", column)
        for number, cells in records:
            if not any(cells):
                continue
            if len(table.rows) + len(table.errors) > max_rows:
                break
            if len(cells) < len(header):
                refuse("cells_missing")
            elif any(cell for column, cell in zip_longest(header, cells) if not column):
                refuse("cells_left_over")
            else:
                given = zip(header, cells, strict=False)
                table.rows.append({column: cell for column, cell in given if column in columns})
                table.numbers.append(number)
    except csv.Error:
        number += 1
        refuse("csv_invalid")
    return table


def harmless(text: str | None) -> str | None:
    """Write a text so that no spreadsheet takes it for a formula."""
    return QUOTE + text if text and text.startswith(FORMULA) else text


def as_it_was(text: str) -> str:
    """Read a text that was made harmless."""
    return text[1:] if text.startswith(QUOTE) and text[1:].startswith(FORMULA) else text
