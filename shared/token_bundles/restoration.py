"""Bringing back what a bundle was."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from shared import errors
from shared.changes import demanding
from shared.database import reading
from shared.database.versioned import Outcome
from shared.token_bundles.repository import BUNDLES, with_folded_name
from shared.token_bundles.schemas.create import TokenBundleCreate
from shared.token_bundles.service import CodeTakenError, changing, set_fields, show_changed

if TYPE_CHECKING:
    from uuid import UUID

    from shared.changes import Change, Changed
    from shared.database.versioned import Conditions, Snapshot
    from shared.token_bundles.model import TokenBundle
    from shared.token_bundles.schemas.preview import BundlePreview
    from shared.token_bundles.schemas.read import BundleAnswer

# It may be deleted or brought back between what is read and what is written.
MAX_ATTEMPTS = 3


class NotRestorableError(errors.ApiError):
    """The bundle cannot become what it was at that version."""

    status = 400

    def __init__(self, detail: str) -> None:
        self.detail = f"version: {detail}"
        self.errors = ({"pointer": "/version", "code": "not_restorable", "detail": detail},)


def restore_bundle(
    bundle_id: UUID, version: int, change: Change, conditions: Conditions
) -> Changed[BundleAnswer | BundlePreview]:
    """Make a bundle what it was at a version, also a deleted one, which comes back inactive.

    Raises NotFoundError if there never was one, NotRestorableError, and what an update raises.
    """
    until = None
    for _ in range(MAX_ATTEMPTS):
        # What is read here never changes; what may have changed is decided where it is written.
        with reading(until) as connection:
            snapshot = BUNDLES.snapshot(connection, bundle_id, version)
            until = connection.until
        fields = _fields_under_todays_rules(snapshot)
        try:
            if not snapshot["is_deleted"]:
                return set_fields(bundle_id, fields, change, "restored", demanding(conditions), until)
            if conditions["is_named"]:
                raise errors.ChangedMeanwhileError
            return _revive(snapshot, fields, change, until)
        except errors.NotFoundError:
            continue
    raise errors.DatabaseUnavailableError


def _fields_under_todays_rules(snapshot: Snapshot[TokenBundle]) -> dict[str, Any]:
    if snapshot["row"] is None:
        raise NotRestorableError("must be one of its history, and not its deletion")
    then = vars(snapshot["row"]) | {"price": f"{snapshot['row'].price.normalize():f}"}
    try:
        values = TokenBundleCreate.model_validate({name: then[name] for name in BUNDLES.editable})
    except ValidationError as invalid:
        names = sorted({str(error["loc"][0]).replace("_", " ") for error in invalid.errors()})
        raise NotRestorableError(f"is not allowed any more because of: {', '.join(names)}") from None
    return with_folded_name(values.model_dump())


def _revive(
    snapshot: Snapshot[TokenBundle], fields: dict[str, Any], change: Change, until: float
) -> Changed[BundleAnswer | BundlePreview]:
    """Bring back a deleted bundle, or show what another has; raises NotFoundError if that has gone again."""
    row: TokenBundle = snapshot["row"]  # type: ignore[assignment]  # it has been restored from
    values = {**fields, "id": row.id, "created_at": row.created_at, "is_active": False}
    taken = None
    try:
        with changing(change, row.id, until=until) as connection:
            if revived := BUNDLES.revive(connection, values, change.entry("restored")):
                return show_changed(change, revived, connection.foreseen)
    except errors.AlreadyTakenError:
        pass
    except CodeTakenError as error:
        # Perhaps by this very bundle, which another has just brought back.
        taken = error
    try:
        with changing(change, row.id, until=until) as connection:
            present = Outcome("unchanged", BUNDLES.get(connection, row.id))
    except errors.NotFoundError:
        raise taken or errors.NotFoundError from None
    return show_changed(change, present, connection.foreseen)
