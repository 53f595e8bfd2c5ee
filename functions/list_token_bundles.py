"""GET /api/v1/admin/token-bundles: one page of the bundles."""

from typing import Annotated

from shared.http import Api, Query, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import Page, TokenBundleListQuery, TokenBundleRead

handler = Api(scope="token-bundles:read")


@handler.route("GET", "/api/v1/admin/token-bundles")
@handler.route("GET", "/api/v1/admin/token-bundles/", include_in_schema=False)
def list_token_bundles(query: Annotated[TokenBundleListQuery, Query()]) -> Response[Page[TokenBundleRead]]:
    """List token bundles."""
    return answer(service.list_bundles(query))
