"""The SQL of token bundles that other tables have not: each list is one statement."""

from functools import lru_cache

from shared.database import Connection
from shared.database.versioned import Found, VersionedTable
from shared.token_bundles.model import TokenBundle

BUNDLES = VersionedTable("token_bundle", "bundle", TokenBundle)

SORTABLE = {
    name: name for name in ("sort_order", "name", "price", "token_amount", "created_at", "updated_at")
}

MATCHES = "(bundle.is_active OR $3) AND ($4 = '' OR strpos(lower(bundle.name), lower($4)) > 0)"


def find_bundles(
    connection: Connection, sort: tuple[str, ...], *, limit: int, offset: int, inactive: bool, part: str
) -> Found[TokenBundle]:
    """Return one page of the bundles, `inactive` ones too or not, that have the part in their name."""
    return BUNDLES.page(connection, find_sql(sort), inactive, part, limit=limit, offset=offset)


# Callers choose the order, so there is no end to the statements.
@lru_cache(maxsize=128)
def find_sql(sort: tuple[str, ...]) -> str:
    """Write the statement that lists bundles in an order; raises KeyError for what is no key to sort by."""
    keys = [f"bundle.{SORTABLE[key.removeprefix('-')]}{' DESC' * key.startswith('-')}" for key in sort]
    # The id comes last, so that no bundle repeats or goes missing between pages.
    return BUNDLES.page_sql(MATCHES, ", ".join([*keys, "bundle.id"]))
