"""POST …/token-bundles/{bundle_id}/deactivate."""

from uuid import UUID

from shared.changes import Change
from shared.http import Conditions, Response, endpoint, respond_to_change
from shared.token_bundles import service
from shared.token_bundles.schemas.preview import BundlePreview
from shared.token_bundles.schemas.read import BundleAnswer


@endpoint(access="write", metric="BundlesUpdated")
def handler(
    bundle_id: UUID, change: Change, conditions: Conditions
) -> Response[BundleAnswer | BundlePreview]:
    """Deactivate a token bundle."""
    given = conditions.given()
    return respond_to_change(*service.set_bundle_active(bundle_id, change, is_active=False, conditions=given))
