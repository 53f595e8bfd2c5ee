"""GET …/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.http import ConditionsOfRead, Response, endpoint, respond
from shared.token_bundles import queries
from shared.token_bundles.schemas.read import BundleAnswer


@endpoint(access="read")
def handler(bundle_id: UUID, conditions: ConditionsOfRead) -> Response[BundleAnswer]:
    """Show one token bundle."""
    bundle = queries.get_bundle(bundle_id)
    return respond(BundleAnswer(bundle=bundle), version=bundle["version"], conditions=conditions)
