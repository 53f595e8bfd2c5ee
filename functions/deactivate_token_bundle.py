"""POST /api/v1/admin/token-bundles/{bundle_id}/deactivate: deactivate a bundle."""

from uuid import UUID

from shared.http import Api, IfMatch, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer

handler = Api(scope="token-bundles:write", counts="BundlesUpdated")


@handler.route("POST", "/api/v1/admin/token-bundles/{bundle_id}/deactivate")
def deactivate_token_bundle(bundle_id: UUID, if_match: IfMatch = None) -> Response[BundleAnswer]:
    """Deactivate a token bundle."""
    bundle = service.set_bundle_active(bundle_id, handler.caller, is_active=False, expected=if_match)
    return answer(BundleAnswer(bundle=bundle), version=bundle["version"])
