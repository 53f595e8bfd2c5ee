"""GET …/token-bundles."""

from typing import Annotated

from shared.http import Query, Response, endpoint, respond
from shared.paging import Page
from shared.token_bundles import service
from shared.token_bundles.schemas import TokenBundleListQuery, TokenBundleRead


@endpoint(access="read")
def handler(query: Annotated[TokenBundleListQuery, Query()]) -> Response[Page[TokenBundleRead]]:
    """List token bundles."""
    return respond(service.list_bundles(query))
