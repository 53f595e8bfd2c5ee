"""The rules of changing a token bundle; each function is one statement."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

from shared import errors
from shared.changes import Change, Changed, Message, demanding
from shared.database import Connection, writing
from shared.token_bundles.repository import BUNDLES, with_folded_name
from shared.token_bundles.schemas.read import BundleAnswer, show_bundle

if TYPE_CHECKING:
    # At run time each function imports the schemas of its own requests alone.
    from collections.abc import Iterator, Mapping

    from shared.database.driver import Statement
    from shared.database.versioned import Conditions, Outcome
    from shared.token_bundles.model import TokenBundle
    from shared.token_bundles.schemas.create import TokenBundleCreate
    from shared.token_bundles.schemas.preview import BundlePreview, DeletionPreview
    from shared.token_bundles.schemas.update import TokenBundleUpdate

# Of whose foreign keys a violation is a bug.
OWN_TABLES = {"token_bundle", "token_bundle_change", "token_bundle_idempotency_key"}
DELETED = "The token bundle is deleted."


class BundleInUseError(errors.ConflictError):
    """The bundle is still referenced, such as by a purchase."""

    detail = "It is still used elsewhere and cannot be deleted: deactivate it instead."
    errors = ({"code": "still_referenced"},)


class CodeTakenError(errors.ConflictError):
    """Another bundle has the code."""

    detail = "Another bundle has this code already: choose another code."
    errors = ({"pointer": "/code", "code": "code_taken"},)


def create_bundle(
    values: TokenBundleCreate, change: Change, key: str | None = None
) -> Changed[BundleAnswer | BundlePreview]:
    """Create a bundle, or show as it was then what the caller's key has created.

    Raises KeyUsedDifferentlyError, CodeTakenError.
    """
    given, bundle_id = values.model_dump(), uuid4()
    with changing(change, bundle_id) as connection:
        claim = None if key is None else change.caller.claim(key)
        stored = with_folded_name({"id": bundle_id, **given})
        created = BUNDLES.create(connection, stored, change.entry("created"), claim)
    bundle, replayed = created.settled(), created.outcome == "replayed"
    if replayed and any(getattr(bundle, name) != value for name, value in given.items()):
        raise errors.KeyUsedDifferentlyError
    changed = show_changed(change, created, connection.foreseen, is_new=True)
    created_id = None if change.validate_only else bundle.id
    return changed._replace(created=created_id, replayed=replayed)


def update_bundle(
    bundle_id: UUID, values: TokenBundleUpdate, change: Change, conditions: Conditions
) -> Changed[BundleAnswer | BundlePreview]:
    """Change the fields that are given, from the version that is; what changes nothing makes no new version.

    Raises NotFoundError, why a condition does not hold, CodeTakenError.
    """
    fields = with_folded_name(values.model_dump(exclude_unset=True))
    version = fields.pop("version", None)
    return set_fields(bundle_id, fields, change, "updated", demanding(conditions, version))


def set_bundle_active(
    bundle_id: UUID, change: Change, *, is_active: bool, conditions: Conditions
) -> Changed[BundleAnswer | BundlePreview]:
    """Activate or deactivate a bundle; raises NotFoundError, and why a condition does not hold."""
    action = "activated" if is_active else "deactivated"
    return set_fields(bundle_id, {"is_active": is_active}, change, action, demanding(conditions))


def delete_bundle(
    bundle_id: UUID, change: Change, conditions: Conditions
) -> Changed[Message | DeletionPreview]:
    """Delete a bundle for good; raises NotFoundError, why a condition does not hold, BundleInUseError."""
    try:
        with changing(change, bundle_id) as connection:
            outcome = BUNDLES.delete(connection, bundle_id, change.entry("deleted"), demanding(conditions))
    except errors.StillReferencedError as error:
        if error.table in OWN_TABLES:
            raise
        raise BundleInUseError from error
    outcome.settled()
    if change.validate_only:
        from shared.token_bundles.preview import show_deletion  # noqa: PLC0415 - see changing

        return Changed(show_deletion(outcome.before, connection.foreseen, DELETED))
    return Changed({"message": DELETED})


def set_fields(
    bundle_id: UUID,
    fields: Mapping[str, Any],
    change: Change,
    action: str,
    conditions: Conditions,
    until: float | None = None,
) -> Changed[BundleAnswer | BundlePreview]:
    """Set fields of a bundle, and keep that as an action; raises as an update does."""
    with changing(change, bundle_id, until=until) as connection:
        outcome = BUNDLES.update(connection, bundle_id, fields, change.entry(action), conditions)
    return show_changed(change, outcome, connection.foreseen)


@contextmanager
def changing(change: Change, *bundle_ids: UUID, until: float | None = None) -> Iterator[Connection]:
    """Make a change of bundles with these ids, or foresee it; raises CodeTakenError."""
    preview: Statement | None = None
    if change.validate_only:
        # Most cold starts are for other requests.
        from shared.token_bundles.preview import foresee  # noqa: PLC0415

        preview = foresee(*bundle_ids)
    try:
        with writing(preview, until) as connection:
            yield connection
    except errors.AlreadyTakenError as error:
        if error.constraint != "uq_token_bundle_code":
            raise
        raise CodeTakenError from error


def show_changed(
    change: Change, outcome: Outcome[TokenBundle], foreseen: str, *, is_new: bool = False
) -> Changed[BundleAnswer | BundlePreview]:
    """Show the bundle that has come of a change, or would; raises the error of one that was refused."""
    bundle = outcome.settled()
    if change.validate_only:
        from shared.token_bundles.preview import show_preview  # noqa: PLC0415 - see changing

        return Changed(show_preview(outcome, foreseen, is_new=is_new))
    return Changed(BundleAnswer(bundle=show_bundle(bundle)), bundle.version)
