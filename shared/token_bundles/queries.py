"""What can be read of token bundles; each function is one statement."""

from __future__ import annotations

from typing import TYPE_CHECKING

from shared.database import reading
from shared.errors import NotFoundError
from shared.token_bundles.repository import BUNDLES, Filters, find_bundles
from shared.token_bundles.schemas.read import TokenBundleRead, show_bundle, show_editable_fields

if TYPE_CHECKING:
    # At run time each function imports the schemas of its own requests alone.
    from uuid import UUID

    from shared.paging import Page, PageQuery
    from shared.token_bundles.schemas.history import TokenBundleChangeRead
    from shared.token_bundles.schemas.query import TokenBundleListQuery


def list_bundles(query: TokenBundleListQuery) -> Page[TokenBundleRead]:
    """Show one page of the bundles that match the query."""
    from shared.paging import show_page  # noqa: PLC0415 - the function has imported it

    filters = Filters(query.include_inactive, query.q, query.is_active, query.id, query.code)
    with reading() as connection:
        found = find_bundles(connection, query.sort, filters, limit=query.per_page, offset=query.offset)
    return show_page([show_bundle(row) for row in found.rows], found.total, query)


def list_changes(bundle_id: UUID, query: PageQuery) -> Page[TokenBundleChangeRead]:
    """Show one page of what was done to a bundle, also to a deleted one; raises NotFoundError."""
    from shared.history import show_history  # noqa: PLC0415 - as above

    with reading() as connection:
        found = BUNDLES.history(connection, bundle_id, limit=query.per_page + 1, offset=query.offset)
    if not found.total:
        raise NotFoundError
    return show_history(found, query, show_editable_fields)


def get_bundle(bundle_id: UUID) -> TokenBundleRead:
    """Show one bundle; raises NotFoundError."""
    with reading() as connection:
        return show_bundle(BUNDLES.get(connection, bundle_id))
