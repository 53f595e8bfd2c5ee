"""DELETE /api/v1/admin/token-bundles/{bundle_id}: delete a bundle for good."""

from uuid import UUID

from shared.http import Api, IfMatch, Response, answer
from shared.token_bundles import service
from shared.token_bundles.schemas import Message

handler = Api(scope="token-bundles:write", counts="BundlesDeleted")


@handler.route("DELETE", "/api/v1/admin/token-bundles/{bundle_id}")
def delete_token_bundle(bundle_id: UUID, if_match: IfMatch = None) -> Response[Message]:
    """Delete a token bundle for good."""
    service.delete_bundle(bundle_id, handler.caller, if_match)
    return answer(Message(message="The token bundle is deleted."))
