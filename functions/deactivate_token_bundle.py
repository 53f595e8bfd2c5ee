"""POST …/token-bundles/{bundle_id}/deactivate."""

from uuid import UUID

from shared.callers import Caller
from shared.database.versioned import Preconditions
from shared.http import IfMatch, Response, endpoint, respond
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer


@endpoint(scope="token-bundles:write", metric="BundlesUpdated")
def handler(bundle_id: UUID, caller: Caller, if_match: IfMatch = None) -> Response[BundleAnswer]:
    """Deactivate a token bundle."""
    bundle = service.set_bundle_active(bundle_id, caller, is_active=False, conditions=Preconditions(if_match))
    return respond(BundleAnswer(bundle=bundle), version=bundle["version"])
