"""PUT and PATCH /api/v1/admin/token-bundles/{bundle_id}: change the fields that are given."""

from uuid import UUID

from shared.http import Api, IfMatch, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer, TokenBundleUpdate

handler = Api(scope="token-bundles:write", counts="BundlesUpdated")


@handler.route("PUT", "/api/v1/admin/token-bundles/{bundle_id}")
@handler.route("PATCH", "/api/v1/admin/token-bundles/{bundle_id}", operation_id="patch_token_bundle")
def update_token_bundle(
    bundle_id: UUID, values: TokenBundleUpdate, if_match: IfMatch = None
) -> Response[BundleAnswer]:
    """Change the fields of a token bundle that are given."""
    bundle = service.update_bundle(bundle_id, values, handler.caller, if_match)
    return answer(BundleAnswer(bundle=bundle), version=bundle["version"])
