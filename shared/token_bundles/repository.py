"""The SQL of token bundles that other tables have not: each list is one statement."""

from functools import lru_cache
from typing import Any

from shared.database import Connection
from shared.database.versioned import Found, VersionedTable
from shared.fields import fold
from shared.token_bundles.model import TokenBundle

BUNDLES = VersionedTable("token_bundle", "bundle", TokenBundle, derived=["name_folded", "name_when_folded"])

SORTABLE = {
    name: name for name in ("sort_order", "name", "price", "token_amount", "created_at", "updated_at")
}

# A name that psql, say, has written is not folded, or as it was.
MATCHES = """(bundle.is_active OR $4) AND ($5 = '' OR CASE
        WHEN bundle.name_when_folded = bundle.name THEN strpos(bundle.name_folded, $5) > 0
        ELSE strpos(lower(bundle.name), lower($6)) > 0
    END)"""


def with_folded_name(values: dict[str, Any]) -> dict[str, Any]:
    """Add to a name how it is searched, and that it was this name that was folded."""
    name = values.get("name")
    return values if name is None else {**values, "name_folded": fold(name), "name_when_folded": name}


def find_bundles(
    connection: Connection, sort: tuple[str, ...], *, limit: int, offset: int, inactive: bool, part: str
) -> Found[TokenBundle]:
    """Return one page of the bundles, `inactive` ones too or not, that have the part in their name."""
    parameters = inactive, fold(part), part
    return BUNDLES.page(connection, find_sql(sort), *parameters, limit=limit, offset=offset)


# Callers choose the order, so there is no end to the statements.
@lru_cache(maxsize=128)
def find_sql(sort: tuple[str, ...]) -> str:
    """Write the statement that lists bundles in an order; raises KeyError for what is no key to sort by."""
    keys = [f"bundle.{SORTABLE[key.removeprefix('-')]}{' DESC' * key.startswith('-')}" for key in sort]
    # The id comes last, so that no bundle repeats or goes missing between pages.
    return BUNDLES.page_sql(MATCHES, ", ".join([*keys, "bundle.id"]))
