"""DELETE …/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.callers import Caller
from shared.database.versioned import Preconditions
from shared.http import IfMatch, Message, Response, endpoint, respond
from shared.token_bundles import service


@endpoint(scope="token-bundles:write", metric="BundlesDeleted", raises=[service.BundleInUseError])
def handler(bundle_id: UUID, caller: Caller, if_match: IfMatch = None) -> Response[Message]:
    """Delete a token bundle for good."""
    service.delete_bundle(bundle_id, caller, Preconditions(if_match))
    return respond(Message(message="The token bundle is deleted."))
