"""POST /api/v1/admin/token-bundles: create a bundle."""

from http import HTTPStatus

from shared.http import Api, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer, TokenBundleCreate

COLLECTION = "/api/v1/admin/token-bundles"
handler = Api(scope="token-bundles:write")


@handler.post(COLLECTION)
@handler.post(f"{COLLECTION}/", include_in_schema=False)
def create_token_bundle(values: TokenBundleCreate) -> Response[BundleAnswer]:
    """Create a token bundle."""
    bundle = service.create_bundle(values)
    location = f"{COLLECTION}/{bundle.id}"
    return answer(
        BundleAnswer(bundle=bundle), status=HTTPStatus.CREATED, version=bundle.version, location=location
    )
