"""POST …/token-bundles/{bundle_id}/activate."""

from uuid import UUID

from shared.callers import Caller
from shared.http import Conditions, Response, endpoint, respond
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer


@endpoint(access="write", metric="BundlesUpdated")
def handler(bundle_id: UUID, caller: Caller, conditions: Conditions) -> Response[BundleAnswer]:
    """Activate a token bundle."""
    bundle = service.set_bundle_active(bundle_id, caller, is_active=True, conditions=dict(conditions))
    return respond(BundleAnswer(bundle=bundle), version=bundle["version"])
