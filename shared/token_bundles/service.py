"""The rules of token bundles; each function is one transaction."""

from uuid import UUID

from shared.database import transaction
from shared.errors import NotFoundError
from shared.token_bundles import repository
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.schemas import (
    TokenBundleCreate,
    TokenBundleListQuery,
    TokenBundlePage,
    TokenBundleRead,
    TokenBundleUpdate,
)


class TokenBundleNotFoundError(NotFoundError):
    """There is no bundle with the id."""

    detail = "There is no such token bundle."


def list_bundles(query: TokenBundleListQuery) -> TokenBundlePage:
    """Show one page of the bundles that match the query."""
    with transaction() as connection:
        found = repository.find_bundles(
            connection,
            limit=query.per_page,
            offset=query.offset,
            include_inactive=query.include_inactive,
            name_contains=query.q,
            sort=query.sort,
        )
    return TokenBundlePage(
        items=[TokenBundleRead.of(bundle) for bundle in found.bundles],
        total=found.total,
        page=query.page,
        per_page=query.per_page,
        pages=-(-found.total // query.per_page),
    )


def get_bundle(bundle_id: UUID) -> TokenBundleRead:
    """Show one bundle; raises TokenBundleNotFoundError."""
    with transaction() as connection:
        return _shown(repository.get_bundle(connection, bundle_id))


def create_bundle(values: TokenBundleCreate) -> TokenBundleRead:
    """Create a bundle."""
    with transaction() as connection:
        return _shown(repository.create_bundle(connection, values.model_dump()))


def update_bundle(bundle_id: UUID, values: TokenBundleUpdate) -> TokenBundleRead:
    """Change the fields that are given; what changes nothing makes no new version.

    Raises TokenBundleNotFoundError.
    """
    with transaction() as connection:
        changes = values.model_dump(exclude_unset=True)
        return _shown(repository.update_bundle(connection, bundle_id, changes))


def set_bundle_active(bundle_id: UUID, *, is_active: bool) -> TokenBundleRead:
    """Activate or deactivate a bundle; raises TokenBundleNotFoundError."""
    with transaction() as connection:
        return _shown(repository.set_bundle_active(connection, bundle_id, is_active=is_active))


def delete_bundle(bundle_id: UUID) -> None:
    """Delete a bundle for good; raises TokenBundleNotFoundError, StillReferencedError."""
    with transaction() as connection:
        if not repository.delete_bundle(connection, bundle_id):
            raise TokenBundleNotFoundError


def _shown(bundle: TokenBundle | None) -> TokenBundleRead:
    if bundle is None:
        raise TokenBundleNotFoundError
    return TokenBundleRead.of(bundle)
