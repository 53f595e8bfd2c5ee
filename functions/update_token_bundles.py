"""PATCH …/token-bundles."""

from shared.changes import Change
from shared.http import Response, endpoint, respond_to_change
from shared.token_bundles import batches
from shared.token_bundles.schemas.batch import BundlesAnswer, TokenBundlesUpdate
from shared.token_bundles.schemas.preview import BundlesPreview


@endpoint(
    access="write",
    metric="BatchesUpdated",
    raises=[batches.BatchRefusedError],
    refuses=["If-Match", "Idempotency-Key"],
)
def handler(values: TokenBundlesUpdate, change: Change) -> Response[BundlesAnswer | BundlesPreview]:
    """Change up to 100 token bundles, all or none."""
    return respond_to_change(*batches.update_bundles(values, change))
