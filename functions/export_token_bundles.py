"""GET …/token-bundles/export."""

from shared.http import Response, endpoint, respond_with_file
from shared.token_bundles import exports
from shared.token_bundles.schemas.export import TokenBundlesExport


@endpoint(access="read", metric="BundlesExported", raises=[exports.TooManyToExportError])
def handler(export: exports.Export) -> Response[TokenBundlesExport | str]:
    """Export token bundles as a file."""
    file = exports.export_bundles(export)
    told = {**export.caller.named(), "bundles": file.bundles}
    return respond_with_file(file.content, "token-bundles", file.kind, told)
