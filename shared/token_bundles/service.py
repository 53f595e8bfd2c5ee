"""The rules of token bundles; each function is one statement."""

from uuid import UUID

from shared.callers import Caller
from shared.database import reading, writing
from shared.database.versioned import Conditions
from shared.errors import ConflictError, KeyUsedDifferentlyError, NotFoundError, StillReferencedError
from shared.history import ChangeRead, show_history
from shared.paging import Page, PageQuery, show_page
from shared.token_bundles import schemas
from shared.token_bundles.repository import BUNDLES, find_bundles, with_folded_name

# Of whose foreign keys a violation is a bug.
OWN_TABLES = {"token_bundle", "token_bundle_change", "token_bundle_idempotency_key"}


class BundleInUseError(ConflictError):
    """The bundle is still referenced, such as by a purchase."""

    detail = "It is still used elsewhere and cannot be deleted: deactivate it instead."
    errors = ({"code": "still_referenced"},)


def list_bundles(query: schemas.TokenBundleListQuery) -> Page[schemas.TokenBundleRead]:
    """Show one page of the bundles that match the query."""
    with reading() as connection:
        found = find_bundles(
            connection,
            query.sort,
            limit=query.per_page,
            offset=query.offset,
            inactive=query.include_inactive,
            part=query.q,
        )
    return show_page([schemas.show_bundle(row) for row in found.rows], found.total, query)


def list_changes(bundle_id: UUID, query: PageQuery) -> Page[ChangeRead]:
    """Show one page of what was done to a bundle, also to a deleted one; raises NotFoundError."""
    with reading() as connection:
        found = BUNDLES.history(connection, bundle_id, limit=query.per_page + 1, offset=query.offset)
    if not found.total:
        raise NotFoundError
    return show_history(found, query, schemas.show_editable_fields)


def get_bundle(bundle_id: UUID) -> schemas.TokenBundleRead:
    """Show one bundle; raises NotFoundError."""
    with reading() as connection:
        return schemas.show_bundle(BUNDLES.get(connection, bundle_id))


def create_bundle(
    values: schemas.TokenBundleCreate, caller: Caller, key: str | None = None
) -> tuple[schemas.TokenBundleRead, bool]:
    """Create a bundle, or show as it was then what the caller's key has created; tell whether it was the key.

    Raises KeyUsedDifferentlyError.
    """
    given = values.model_dump()
    with writing() as connection:
        claim = None if key is None else caller.claim(key)
        created = BUNDLES.create(connection, with_folded_name(given), caller.entry("created"), claim)
    bundle, replayed = created.settled(), created.outcome == "replayed"
    if replayed and any(getattr(bundle, name) != value for name, value in given.items()):
        raise KeyUsedDifferentlyError
    return schemas.show_bundle(bundle), replayed


def update_bundle(
    bundle_id: UUID, values: schemas.TokenBundleUpdate, caller: Caller, conditions: Conditions
) -> schemas.TokenBundleRead:
    """Change the fields that are given, from the version that is; what changes nothing makes no new version.

    Raises NotFoundError, and why a condition does not hold.
    """
    changes = with_folded_name(values.model_dump(exclude_unset=True))
    conditions = {**conditions, "version": changes.pop("version", None)}
    with writing() as connection:
        outcome = BUNDLES.update(connection, bundle_id, changes, caller.entry("updated"), conditions)
    return schemas.show_bundle(outcome.settled())


def set_bundle_active(
    bundle_id: UUID, caller: Caller, *, is_active: bool, conditions: Conditions
) -> schemas.TokenBundleRead:
    """Activate or deactivate a bundle; raises NotFoundError, and why a condition does not hold."""
    entry = caller.entry("activated" if is_active else "deactivated")
    with writing() as connection:
        outcome = BUNDLES.update(connection, bundle_id, {"is_active": is_active}, entry, conditions)
    return schemas.show_bundle(outcome.settled())


def delete_bundle(bundle_id: UUID, caller: Caller, conditions: Conditions) -> None:
    """Delete a bundle for good; raises NotFoundError, why a condition does not hold, BundleInUseError."""
    try:
        with writing() as connection:
            outcome = BUNDLES.delete(connection, bundle_id, caller.entry("deleted"), conditions)
    except StillReferencedError as error:
        if error.table in OWN_TABLES:
            raise
        raise BundleInUseError from error
    outcome.settled()
