"""The rules of token bundles; each function is one statement, and a repeated creation two."""

from typing import NamedTuple
from uuid import UUID

from shared.callers import Caller
from shared.database import connect_at_init, reading, writing
from shared.errors import ChangedMeanwhileError, KeyUsedDifferentlyError, NotFoundError
from shared.token_bundles import repository
from shared.token_bundles.repository import Change, Versions
from shared.token_bundles.schemas import (
    Page,
    PageQuery,
    TokenBundleChangeRead,
    TokenBundleCreate,
    TokenBundleListQuery,
    TokenBundleRead,
    TokenBundleUpdate,
    show_bundle,
    show_change,
    show_page,
)

connect_at_init()


class TokenBundleNotFoundError(NotFoundError):
    """There is no bundle with the id."""

    detail = "There is no such token bundle."


class Created(NamedTuple):
    """A bundle as it was created, and whether that was by an earlier request with the same key."""

    bundle: TokenBundleRead
    replayed: bool


def list_bundles(query: TokenBundleListQuery) -> Page[TokenBundleRead]:
    """Show one page of the bundles that match the query."""
    with reading() as connection:
        found = repository.find_bundles(
            connection,
            limit=query.per_page,
            offset=query.offset,
            include_inactive=query.include_inactive,
            name_contains=query.q,
            sort=query.sort,
        )
    return show_page([show_bundle(row) for row in found.rows], found.total, query)


def list_changes(bundle_id: UUID, query: PageQuery) -> Page[TokenBundleChangeRead]:
    """Show one page of what was done to a bundle, also to a deleted one; raises TokenBundleNotFoundError."""
    with reading() as connection:
        found = repository.find_changes(connection, bundle_id, limit=query.per_page, offset=query.offset)
    if not found.total:
        raise TokenBundleNotFoundError
    return show_page([show_change(row) for row in found.rows], found.total, query)


def get_bundle(bundle_id: UUID) -> TokenBundleRead:
    """Show one bundle; raises TokenBundleNotFoundError."""
    with reading() as connection:
        bundle = repository.get_bundle(connection, bundle_id)
    if bundle is None:
        raise TokenBundleNotFoundError
    return show_bundle(bundle)


def create_bundle(values: TokenBundleCreate, caller: Caller, idempotency_key: str | None = None) -> Created:
    """Create a bundle, or show what the caller's key has created; raises KeyUsedDifferentlyError."""
    given = values.model_dump()
    with writing() as connection:
        bundle = repository.create_bundle(connection, given, caller, idempotency_key)
        if bundle is not None:
            return Created(show_bundle(bundle), replayed=False)
        # Another statement, because one sees only what was committed before it began.
        first = repository.get_bundle_created_with(connection, caller, idempotency_key or "")
    if any(getattr(first, field) != value for field, value in given.items()):
        raise KeyUsedDifferentlyError
    return Created(show_bundle(first), replayed=True)


def update_bundle(
    bundle_id: UUID, values: TokenBundleUpdate, caller: Caller, expected: Versions = None
) -> TokenBundleRead:
    """Change the fields that are given; what changes nothing makes no new version.

    Raises TokenBundleNotFoundError, ChangedMeanwhileError.
    """
    changes = values.model_dump(exclude_unset=True)
    with writing() as connection:
        return _shown(repository.update_bundle(connection, bundle_id, changes, caller, expected=expected))


def set_bundle_active(
    bundle_id: UUID, caller: Caller, *, is_active: bool, expected: Versions = None
) -> TokenBundleRead:
    """Activate or deactivate a bundle; raises TokenBundleNotFoundError, ChangedMeanwhileError."""
    with writing() as connection:
        return _shown(
            repository.set_bundle_active(
                connection, bundle_id, caller, is_active=is_active, expected=expected
            )
        )


def delete_bundle(bundle_id: UUID, caller: Caller, expected: Versions = None) -> None:
    """Delete a bundle for good.

    Raises TokenBundleNotFoundError, ChangedMeanwhileError, StillReferencedError.
    """
    with writing() as connection:
        deleted = repository.delete_bundle(connection, bundle_id, caller, expected=expected)
    if deleted is None:
        raise TokenBundleNotFoundError
    if not deleted:
        raise ChangedMeanwhileError


def _shown(change: Change | None) -> TokenBundleRead:
    if change is None:
        raise TokenBundleNotFoundError
    if not change.expected:
        raise ChangedMeanwhileError
    return show_bundle(change.bundle)
