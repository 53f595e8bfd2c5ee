"""The SQL of token bundles that other tables have not: each list is one statement."""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from shared.database import Connection
from shared.database.versioned import Found, VersionedTable
from shared.fields import CODE_PATTERN, fold
from shared.token_bundles.model import TokenBundle

BUNDLES = VersionedTable(
    "token_bundle", "bundle", TokenBundle, derived=["name_folded", "name_when_folded"], unique="code"
)

SORTABLE = ("sort_order", "name", "code", "price", "token_amount", "created_at", "updated_at")

# A name that psql, say, has written is not folded, or as it was.
MATCHES = """(bundle.is_active OR $4) AND ($5 = '' OR CASE
        WHEN bundle.name_when_folded = bundle.name THEN strpos(bundle.name_folded, $5) > 0
        ELSE strpos(lower(bundle.name), lower($6)) > 0
    END) AND ($7::boolean IS NULL OR bundle.is_active = $7)
    AND ($8::uuid[] IS NULL AND $9::text[] IS NULL OR bundle.id = ANY ($8) OR bundle.code = ANY ($9))"""


class Filters(NamedTuple):
    """Which bundles to find: `inactive` ones too or not, with the part in their name, with an id or code."""

    inactive: bool = True
    part: str = ""
    is_active: bool | None = None
    ids: Sequence[UUID] | None = None
    codes: Sequence[str] | None = None


def with_folded_name(values: dict[str, Any]) -> dict[str, Any]:
    """Add to a name how it is searched, and that it was this name that was folded."""
    name = values.get("name")
    return values if name is None else {**values, "name_folded": fold(name), "name_when_folded": name}


def find_bundles(
    connection: Connection, sort: tuple[str, ...], filters: Filters, *, limit: int, offset: int
) -> Found[TokenBundle]:
    """Return one page of the bundles that the filters let through."""
    inactive, part, is_active, ids, codes = filters
    # No other text can be a code, nor needs quotes in an array.
    codes = None if codes is None else [code for code in codes if re.fullmatch(CODE_PATTERN, code)]
    only = None if is_active is None else str(is_active)
    parameters = inactive, fold(part), part, only, _array(ids), _array(codes)
    return BUNDLES.page(connection, find_sql(sort), *parameters, limit=limit, offset=offset)


def _array(items: Sequence[object] | None) -> str | None:
    return None if items is None else f"{{{','.join(map(str, items))}}}"


# Callers choose the order, so there is no end to the statements.
@lru_cache(maxsize=128)
def find_sql(sort: tuple[str, ...]) -> str:
    """Write the statement that lists bundles in an order; raises ValueError for what is no key to sort by."""
    # The id comes last, so that no bundle repeats or goes missing between pages.
    return BUNDLES.page_sql(MATCHES, ", ".join([*map(_sort_key, sort), "bundle.id"]))


def _sort_key(key: str) -> str:
    column = SORTABLE[SORTABLE.index(key.removeprefix("-"))]
    # Bundles without a code come last both ways.
    last = " NULLS LAST" if column == "code" else ""
    return f"bundle.{column}{' DESC' * key.startswith('-')}{last}"
