"""POST /api/v1/admin/token-bundles: create a bundle."""

from http import HTTPStatus

from shared.http import Api, IdempotencyKey, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer, TokenBundleCreate

COLLECTION = "/api/v1/admin/token-bundles"
handler = Api(scope="token-bundles:write")


@handler.post(COLLECTION, status_code=HTTPStatus.CREATED)
@handler.post(f"{COLLECTION}/", include_in_schema=False)
def create_token_bundle(values: TokenBundleCreate, key: IdempotencyKey = None) -> Response[BundleAnswer]:
    """Create a token bundle."""
    bundle, replayed = service.create_bundle(values, handler.caller, key)
    headers = {"Location": f"{COLLECTION}/{bundle.id}"} | (
        {"Idempotency-Replayed": "true"} if replayed else {}
    )
    return answer(
        BundleAnswer(bundle=bundle), status=HTTPStatus.CREATED, version=bundle.version, headers=headers
    )
