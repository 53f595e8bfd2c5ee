"""Bundles as a file, for a spreadsheet or for another system."""

import csv
import io
import json
from collections.abc import Mapping
from typing import Any, ClassVar, NamedTuple

from pydantic_core import to_json

from shared.callers import Caller
from shared.csv_files import BYTE_ORDER_MARK, harmless
from shared.database import reading
from shared.errors import MAX_ANSWER_BYTES, ApiError
from shared.token_bundles.repository import Filters, find_bundles
from shared.token_bundles.schemas.export import TokenBundleExportQuery
from shared.token_bundles.schemas.read import show_bundle

MAX_BUNDLES = 1000

COLUMNS = [
    "id", "code", "name", "description", "token_amount", "price", "currency", "is_active", "sort_order",
    "version", "metadata",
]  # fmt: skip


class TooManyToExportError(ApiError):
    """More has been found than fits into a file."""

    status = 400
    detail = (
        "More has been found than fits into a file, 1,000 bundles and 5 MiB: filter, such as by q or code."
    )
    errors = ({"code": "too_many_to_export"},)


class Export:
    """Who wants which bundles in a file, and of which kind that is to be."""

    query_model: ClassVar = TokenBundleExportQuery

    def __init__(self, caller: Caller, **query: Any) -> None:
        self.caller, self.query = caller, TokenBundleExportQuery.model_construct(**query)


class File(NamedTuple):
    """What is in a file, what kind of file that is, and how many bundles are in it."""

    content: str
    kind: str
    bundles: int


def export_bundles(export: Export) -> File:
    """Write what is found, as a list of all of it would show; raises TooManyToExportError."""
    query = export.query
    filters = Filters(query.include_inactive, query.q, query.is_active, query.id, query.code)
    with reading() as connection:
        found = find_bundles(connection, query.sort, filters, limit=MAX_BUNDLES + 1, offset=0).rows
    shown = [show_bundle(bundle) for bundle in found]
    content = to_json({"bundles": shown}).decode() if query.format == "json" else _write_csv(shown)
    if len(found) > MAX_BUNDLES or len(to_json(content)) > MAX_ANSWER_BYTES:
        raise TooManyToExportError
    return File(content, query.format, len(found))


def _write_csv(bundles: list[Any]) -> str:
    text = io.StringIO()
    # https://www.rfc-editor.org/rfc/rfc4180
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(map(_row, bundles))
    return BYTE_ORDER_MARK + text.getvalue()


def _row(bundle: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **bundle,
        "name": harmless(bundle["name"]),
        "description": harmless(bundle["description"]),
        "is_active": str(bundle["is_active"]).lower(),
        "metadata": json.dumps(bundle["metadata"], ensure_ascii=False),
    }
