"""POST /api/v1/admin/token-bundles/{bundle_id}/activate: activate a bundle."""

from uuid import UUID

from shared.http import Api, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer

handler = Api(scope="token-bundles:write")


@handler.post("/api/v1/admin/token-bundles/<bundle_id>/activate")
def activate_token_bundle(bundle_id: UUID) -> Response[BundleAnswer]:
    """Activate a token bundle."""
    bundle = service.set_bundle_active(bundle_id, is_active=True)
    return answer(BundleAnswer(bundle=bundle), version=bundle.version)
