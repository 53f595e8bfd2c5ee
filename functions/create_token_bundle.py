"""POST …/token-bundles."""

from shared.callers import Caller
from shared.http import IdempotencyKey, Response, endpoint, respond
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer, TokenBundleCreate


@endpoint(access="write", status=201, metric="BundlesCreated")
def handler(values: TokenBundleCreate, caller: Caller, key: IdempotencyKey = None) -> Response[BundleAnswer]:
    """Create a token bundle."""
    bundle, replayed = service.create_bundle(values, caller, key)
    return respond(
        BundleAnswer(bundle=bundle), version=bundle["version"], location=bundle["id"], replayed=replayed
    )
