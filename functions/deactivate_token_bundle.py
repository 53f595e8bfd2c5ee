"""POST /api/v1/admin/token-bundles/{bundle_id}/deactivate: deactivate a bundle."""

from uuid import UUID

from shared.http import Api, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer

handler = Api(scope="token-bundles:write")


@handler.post("/api/v1/admin/token-bundles/<bundle_id>/deactivate")
def deactivate_token_bundle(bundle_id: UUID) -> Response[BundleAnswer]:
    """Deactivate a token bundle."""
    bundle = service.set_bundle_active(bundle_id, is_active=False)
    return answer(BundleAnswer(bundle=bundle), version=bundle.version)
