"""POST /api/v1/admin/token-bundles/{bundle_id}/activate: activate a bundle."""

from uuid import UUID

from shared.http import Api, IfMatch, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer

handler = Api(scope="token-bundles:write", counts="BundlesUpdated")


@handler.route("POST", "/api/v1/admin/token-bundles/{bundle_id}/activate")
def activate_token_bundle(bundle_id: UUID, if_match: IfMatch = None) -> Response[BundleAnswer]:
    """Activate a token bundle."""
    bundle = service.set_bundle_active(bundle_id, handler.caller, is_active=True, expected=if_match)
    return answer(BundleAnswer(bundle=bundle), version=bundle["version"])
