"""Changes of many bundles at once: all of them, or none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from shared import errors
from shared.changes import Change, Changed
from shared.settings import settings
from shared.token_bundles.repository import BUNDLES, with_folded_name
from shared.token_bundles.schemas.batch import BundlesAnswer, TokenBundlesUpdate
from shared.token_bundles.schemas.read import show_bundle
from shared.token_bundles.service import CodeTakenError, changing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shared.database.versioned import Outcome
    from shared.token_bundles.model import TokenBundle
    from shared.token_bundles.schemas.preview import BundlesPreview

# Of an outcome the field that is in the way, what that is called, and the sentence.
REFUSALS = {
    "missing": ("id", "not_found", errors.NotFoundError.detail),
    "conflict": ("version", "changed_meanwhile", errors.VersionConflictError.detail),
    "taken": ("code", "code_taken", CodeTakenError.detail),
}


class BatchRefusedError(errors.ConflictError):
    """Some of the bundles cannot be changed as asked, so none has been; each is named."""

    def __init__(self, outcomes: Sequence[Outcome[TokenBundle]]) -> None:
        found: list[dict[str, object]] = []
        for place, outcome in enumerate(outcomes):
            if outcome.outcome in REFUSALS:
                field, code, detail = REFUSALS[outcome.outcome]
                known = {} if code != "changed_meanwhile" else {"current_version": outcome.row.version}  # type: ignore[union-attr]  # it has been compared
                found.append(
                    {"pointer": f"/bundles/{place}/{field}", "code": code, "detail": detail, **known}
                )
        self.errors = tuple(found)
        self.detail = f"Nothing has been changed: {found[0]['detail']}"


def update_bundles(values: TokenBundlesUpdate, change: Change) -> Changed[BundlesAnswer | BundlesPreview]:
    """Change many bundles, each as a single update would; raises BatchRefusedError."""
    given = [_given(entry.model_dump(exclude_unset=True)) for entry in values.bundles]
    if settings.require_if_match and any(one["version"] is None for one in given):
        raise errors.PreconditionRequiredError
    try:
        with changing(change, *(one["id"] for one in given)) as connection:
            entry = change.entry("updated")
            try:
                outcomes = BUNDLES.update_many(connection, given, entry)
            except errors.AlreadyTakenError:
                # Another has taken a code meanwhile, which is seen now, and named.
                outcomes = BUNDLES.update_many(connection, given, entry)
    except CodeTakenError as error:
        raise errors.DatabaseUnavailableError from error
    if any(outcome.outcome in REFUSALS for outcome in outcomes):
        raise BatchRefusedError(outcomes)
    if change.validate_only:
        from shared.token_bundles.preview import show_previews  # noqa: PLC0415 - see changing

        return Changed(show_previews(outcomes, connection.foreseen))
    return Changed(BundlesAnswer(bundles=[show_bundle(outcome.settled()) for outcome in outcomes]))


def _given(fields: dict[str, Any]) -> dict[str, Any]:
    conditions = {"version": fields.pop("version", None), "expected": None, "excluded": []}
    return {"id": fields.pop("id"), "fields": with_folded_name(fields), **conditions}
