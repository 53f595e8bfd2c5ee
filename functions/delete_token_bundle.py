"""DELETE …/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.callers import Caller
from shared.http import Conditions, Message, Response, endpoint, respond
from shared.token_bundles import service


@endpoint(access="write", metric="BundlesDeleted", raises=[service.BundleInUseError])
def handler(bundle_id: UUID, caller: Caller, conditions: Conditions) -> Response[Message]:
    """Delete a token bundle for good."""
    service.delete_bundle(bundle_id, caller, dict(conditions))
    return respond(Message(message="The token bundle is deleted."))
