"""POST /api/v1/admin/token-bundles: create a bundle."""

from shared.http import Api, IdempotencyKey, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer, TokenBundleCreate

COLLECTION = "/api/v1/admin/token-bundles"
handler = Api(scope="token-bundles:write", counts="BundlesCreated")


@handler.route("POST", COLLECTION, status_code=201)
@handler.route("POST", f"{COLLECTION}/", include_in_schema=False)
def create_token_bundle(values: TokenBundleCreate, key: IdempotencyKey = None) -> Response[BundleAnswer]:
    """Create a token bundle."""
    bundle, replayed = service.create_bundle(values, handler.caller, key)
    location = f"{COLLECTION}/{bundle['id']}"
    return answer(
        BundleAnswer(bundle=bundle), version=bundle["version"], location=location, replayed=replayed
    )
