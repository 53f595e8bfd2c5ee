"""The body and the answer of an import."""

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any, ClassVar, Literal, NotRequired
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, PrivateAttr, ValidationInfo
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from shared import fields
from shared.csv_files import as_it_was, read_table
from shared.differences import FieldChange
from shared.token_bundles.schemas.preview import RowWarned
from shared.token_bundles.schemas.update import TokenBundleUpdate

MAX_ROWS = 1000
Action = Literal["created", "updated", "unchanged"]


def _known_by(code: str | None, info: ValidationInfo) -> Any:
    # Unless the id is wrong, of which it is told already.
    if "id" not in info.data or info.data["id"] is not None:
        return code
    if code is None:
        raise PydanticCustomError("unnamed", "is required where there is no id")
    return fields.only_once(code, info)


class TokenBundleRow(TokenBundleUpdate, defer_build=True):
    """What to change in the bundle with the id, or else with the code, or what to create with that."""

    id: Annotated[fields.RowId, fields.ONLY_ONCE] | None = None  # type: ignore[assignment]  # to be read
    code: Annotated[fields.Code, AfterValidator(_known_by)] = Field(default=None, validate_default=True)


def _price(cell: str) -> str:
    # What has an exponent has been rounded by whoever wrote it: it is none, as an empty cell is.
    return "" if "e" in cell.lower() else cell


def _whole_number(cell: str) -> object:
    return fields.read_integer(cell) if fields.INTEGER_TEXT.fullmatch(cell) else cell


def _json(cell: str) -> object:
    def each_once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        if len(members := dict(pairs)) < len(pairs):
            raise ValueError
        return members

    try:
        return json.loads(cell, object_pairs_hook=each_once) if cell else None
    except (ValueError, RecursionError):
        return cell


# What is not read is refused as it is, and a text is what it says.
CELLS: dict[str, Callable[[str], object]] = {
    "name": as_it_was,
    "description": as_it_was,
    "token_amount": _whole_number,
    "price": _price,
    "is_active": fields.true_or_false,
    "sort_order": _whole_number,
    "version": _whole_number,
    "metadata": _json,
}
# What a row may be known by, or not.
OPTIONAL = {"id", "version"}


def read_file(text: str) -> tuple[dict[str, Any], list[dict[str, Any]], list[int]]:
    """Read CSV as the body, what is wrong with how it is written, and the number of each row."""
    table = read_table(text, TokenBundleRow.model_fields, MAX_ROWS)

    def read(column: str, cell: str) -> object:
        if column == "price" and table.delimiter == ";":
            # Where these are between the cells, commas are in the numbers.
            cell = cell.replace(",", ".")
        return CELLS.get(column, str)(cell)

    rows = [
        {column: read(column, cell) for column, cell in row.items() if cell or column not in OPTIONAL}
        for row in table.rows
    ]
    return {"bundles": rows}, table.errors, table.numbers


class TokenBundlesImport(BaseModel, extra="forbid", defer_build=True):
    """What to create and to change, all or none."""

    MAX_KIBIBYTES: ClassVar = 1024
    read_file: ClassVar = staticmethod(read_file)

    bundles: Annotated[list[TokenBundleRow], Field(min_length=1, max_length=MAX_ROWS)]
    _rows: Sequence[int] = PrivateAttr()

    def model_post_init(self, context: dict[str, Any]) -> None:
        """Keep which rows of a file they come from."""
        self._rows = context["rows"]

    def numbered(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Return what each row gives, with its number."""
        for bundle, row in zip(self.bundles, self._rows, strict=False):
            yield row, bundle.model_dump(exclude_unset=True)


class RowReport(TypedDict):
    """What has come of a row, or would."""

    row: Annotated[int, Field(description="As spreadsheets count them: the header of a file is 1.")]
    action: Action
    id: Annotated[NotRequired[UUID], Field(description="Not of what would be created.")]
    changes: dict[str, FieldChange]


class ImportReport(TypedDict):
    """What has come of an import."""

    created: int
    updated: int
    unchanged: int
    rows: list[RowReport]


class ImportPreview(ImportReport):
    """What would come of an import."""

    validate_only: Literal[True]
    warnings: list[RowWarned]
