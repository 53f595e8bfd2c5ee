"""POST …/token-bundles."""

from shared.changes import Change
from shared.http import IdempotencyKey, Response, endpoint, respond_to_change
from shared.token_bundles import service
from shared.token_bundles.schemas.create import TokenBundleCreate
from shared.token_bundles.schemas.preview import BundlePreview
from shared.token_bundles.schemas.read import BundleAnswer


@endpoint(access="write", status=201, metric="BundlesCreated", raises=[service.CodeTakenError])
def handler(
    values: TokenBundleCreate, change: Change, key: IdempotencyKey = None
) -> Response[BundleAnswer | BundlePreview]:
    """Create a token bundle."""
    return respond_to_change(*service.create_bundle(values, change, key))
