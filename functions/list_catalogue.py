"""GET /api/v1/token-bundles."""

from shared.http import KnownTags, Response, endpoint, respond_to_anyone
from shared.token_bundles import catalogue
from shared.token_bundles.schemas.catalogue import Catalogue


@endpoint(access="anyone")
def handler(known: KnownTags = "") -> Response[Catalogue]:
    """List what is on sale."""
    body, has_more = catalogue.bundles_on_sale()
    return respond_to_anyone(body, known, metric="CatalogueCut" if has_more else None)
