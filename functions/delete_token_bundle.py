"""DELETE …/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.changes import Change, Message
from shared.http import Conditions, Response, endpoint, respond_to_change
from shared.token_bundles import service
from shared.token_bundles.schemas.preview import DeletionPreview


@endpoint(access="write", metric="BundlesDeleted", raises=[service.BundleInUseError])
def handler(bundle_id: UUID, change: Change, conditions: Conditions) -> Response[Message | DeletionPreview]:
    """Delete a token bundle for good."""
    return respond_to_change(*service.delete_bundle(bundle_id, change, conditions.given()))
