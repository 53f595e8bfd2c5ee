"""PUT and PATCH …/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.callers import Caller
from shared.http import Conditions, Response, endpoint, respond
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer, TokenBundleUpdate


@endpoint(access="write", metric="BundlesUpdated")
def handler(
    bundle_id: UUID, values: TokenBundleUpdate, caller: Caller, conditions: Conditions
) -> Response[BundleAnswer]:
    """Change the fields of a token bundle that are given."""
    bundle = service.update_bundle(bundle_id, values, caller, dict(conditions))
    return respond(BundleAnswer(bundle=bundle), version=bundle["version"])
