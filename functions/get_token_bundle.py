"""GET /api/v1/admin/token-bundles/{bundle_id}: one bundle."""

from uuid import UUID

from shared.http import Api, IfNoneMatch, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer

handler = Api(scope="token-bundles:read")


@handler.route("GET", "/api/v1/admin/token-bundles/{bundle_id}")
def get_token_bundle(bundle_id: UUID, if_none_match: IfNoneMatch = None) -> Response[BundleAnswer]:
    """Show one token bundle."""
    bundle = service.get_bundle(bundle_id)
    return answer(BundleAnswer(bundle=bundle), version=bundle["version"], if_none_match=if_none_match)
