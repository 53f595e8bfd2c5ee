"""GET …/token-bundles."""

from typing import Annotated

from shared.http import Query, Response, endpoint, respond
from shared.paging import Page
from shared.token_bundles import queries
from shared.token_bundles.schemas.query import TokenBundleListQuery
from shared.token_bundles.schemas.read import TokenBundleRead


@endpoint(access="read")
def handler(query: Annotated[TokenBundleListQuery, Query()]) -> Response[Page[TokenBundleRead]]:
    """List token bundles."""
    return respond(queries.list_bundles(query))
