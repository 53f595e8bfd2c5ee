"""GET /api/v1/token-bundles/{bundle_id}."""

from uuid import UUID

from shared.http import KnownTags, Response, endpoint, respond_to_anyone
from shared.token_bundles import catalogue
from shared.token_bundles.schemas.catalogue import CatalogueEntry


@endpoint(access="anyone")
def handler(bundle_id: UUID, known: KnownTags = "") -> Response[CatalogueEntry]:
    """Show what was sold, also when it is not on sale any more."""
    return respond_to_anyone(catalogue.bundle_as_sold(bundle_id), known)
