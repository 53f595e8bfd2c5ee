"""POST …/token-bundles/import."""

from shared.changes import Change
from shared.http import Response, endpoint, respond
from shared.token_bundles import imports
from shared.token_bundles.schemas.rows import ImportPreview, ImportReport, TokenBundlesImport


@endpoint(
    access="write", metric="BundlesImported", raises=[imports.RowsRefusedError], refuses=["Idempotency-Key"]
)
def handler(values: TokenBundlesImport, change: Change) -> Response[ImportReport | ImportPreview]:
    """Create and change token bundles from a file, all or none."""
    report = imports.import_bundles(values, change)
    return respond(report, told=imports.told(report, change))
