"""GET …/token-bundles/{bundle_id}/history."""

from typing import Annotated
from uuid import UUID

from shared.http import Query, Response, endpoint, respond
from shared.paging import Page, PageQuery
from shared.token_bundles import queries
from shared.token_bundles.schemas.history import TokenBundleChangeRead


@endpoint(access="read")
def handler(bundle_id: UUID, query: Annotated[PageQuery, Query()]) -> Response[Page[TokenBundleChangeRead]]:
    """List what was done to a token bundle, newest first."""
    return respond(queries.list_changes(bundle_id, query))
