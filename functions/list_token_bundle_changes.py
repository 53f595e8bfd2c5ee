"""GET /api/v1/admin/token-bundles/{bundle_id}/history: who changed what and when."""

from typing import Annotated
from uuid import UUID

from shared.http import Api, Query, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import Page, PageQuery, TokenBundleChangeRead

handler = Api(scope="token-bundles:read")


@handler.route("GET", "/api/v1/admin/token-bundles/{bundle_id}/history")
def list_token_bundle_changes(
    bundle_id: UUID, query: Annotated[PageQuery, Query()]
) -> Response[Page[TokenBundleChangeRead]]:
    """List what was done to a token bundle, newest first."""
    return answer(service.list_changes(bundle_id, query))
