"""PUT and PATCH …/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.changes import Change
from shared.http import Conditions, Response, endpoint, respond_to_change
from shared.token_bundles import service
from shared.token_bundles.schemas.preview import BundlePreview
from shared.token_bundles.schemas.read import BundleAnswer
from shared.token_bundles.schemas.update import TokenBundleUpdate


@endpoint(access="write", metric="BundlesUpdated", raises=[service.CodeTakenError])
def handler(
    bundle_id: UUID, values: TokenBundleUpdate, change: Change, conditions: Conditions
) -> Response[BundleAnswer | BundlePreview]:
    """Change the fields of a token bundle that are given."""
    return respond_to_change(*service.update_bundle(bundle_id, values, change, conditions.given()))
