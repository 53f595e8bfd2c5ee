"""POST …/token-bundles/{bundle_id}/restore."""

from uuid import UUID

from shared.changes import Change
from shared.http import Conditions, Response, endpoint, respond_to_change
from shared.token_bundles import restoration, service
from shared.token_bundles.schemas.preview import BundlePreview
from shared.token_bundles.schemas.read import BundleAnswer
from shared.token_bundles.schemas.restore import TokenBundleRestore


@endpoint(access="write", metric="BundlesRestored", raises=[service.CodeTakenError])
def handler(
    bundle_id: UUID, values: TokenBundleRestore, change: Change, conditions: Conditions
) -> Response[BundleAnswer | BundlePreview]:
    """Bring back what a token bundle was at a version, also after its deletion."""
    return respond_to_change(
        *restoration.restore_bundle(bundle_id, values.version, change, conditions.given())
    )
