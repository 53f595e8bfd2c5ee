"""GET …/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.http import IfNoneMatch, Response, endpoint, respond
from shared.token_bundles import service
from shared.token_bundles.schemas import BundleAnswer


@endpoint(scope="token-bundles:read")
def handler(bundle_id: UUID, if_none_match: IfNoneMatch = None) -> Response[BundleAnswer]:
    """Show one token bundle."""
    bundle = service.get_bundle(bundle_id)
    return respond(BundleAnswer(bundle=bundle), version=bundle["version"], if_none_match=if_none_match)
