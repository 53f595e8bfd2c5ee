"""Bundles from a file: all of its rows are created or changed, or none."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar, get_args
from uuid import uuid4

from pydantic_core import to_json

from shared import errors
from shared.database import reading
from shared.differences import show_differences
from shared.settings import settings
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.repository import BUNDLES, Filters, find_bundles, with_folded_name
from shared.token_bundles.schemas.create import TokenBundleCreate
from shared.token_bundles.schemas.read import show_editable_fields
from shared.token_bundles.schemas.rows import (
    MAX_ROWS,
    Action,
    ImportPreview,
    ImportReport,
    RowReport,
    TokenBundlesImport,
)
from shared.token_bundles.service import CodeTakenError, changing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from uuid import UUID

    from shared.changes import Change
    from shared.database import Connection

# Others may write between what is read and what is written: it is planned anew three times.
MAX_ATTEMPTS = 4
OTHERS_WRITE = "Others are changing the same bundles: nothing has been changed, try again shortly."
# Of a creation.
DEFAULTS = {
    name: field.default for name, field in TokenBundleCreate.model_fields.items() if not field.is_required()
}
REQUIRED = [name for name in TokenBundleCreate.model_fields if name not in DEFAULTS]
NOT_YET = datetime.max.replace(tzinfo=UTC)

ACTIONS: tuple[Action, ...] = get_args(Action)

Wrong = dict[str, object]
Report = TypeVar("Report", ImportReport, ImportPreview)


class InvalidRowsError(errors.ApiError):
    """Rows of a file are not what they must be; each is named."""

    status = 400

    def __init__(self, wrong: Sequence[Wrong]) -> None:
        self.errors, self.error_count = tuple(wrong[: errors.MAX_ERRORS]), len(wrong)
        self.detail = "; ".join(f"row {one['row']}, {one['column']}: {one['detail']}" for one in self.errors)


class RowsRefusedError(errors.ConflictError):
    """Some of the rows do not fit what is there, so nothing has been changed; each is named."""

    def __init__(self, refused: Sequence[Wrong]) -> None:
        self.errors, self.error_count = tuple(refused[: errors.MAX_ERRORS]), len(refused)
        self.detail = f"Nothing has been changed: row {refused[0]['row']}: {refused[0]['detail']}"


class ReportTooLargeError(errors.ApiError):
    """More would change than an answer can tell."""

    status = 400
    detail = "More would change than one answer can tell, 5 MiB: split the file."
    errors = ({"code": "report_too_large"},)


@dataclass
class Planned:
    """What a row comes to: the bundle before, none if it is new, and after, and the fields that change."""

    row: int
    before: TokenBundle | None
    after: TokenBundle
    fields: dict[str, Any]

    @property
    def action(self) -> Action:
        """What is done, as the report says it."""
        if self.before is None:
            return "created"
        return "updated" if self.fields else "unchanged"

    def given(self) -> dict[str, Any]:
        """Write it as the database is given it, with the version that was read."""
        version = self.before and self.before.version
        return {"id": self.after.id, "version": version, "fields": with_folded_name(self.fields)}


def import_bundles(values: TokenBundlesImport, change: Change) -> ImportReport | ImportPreview:
    """Create and change bundles, each as a creation or an update would, or tell what would come of it.

    Raises InvalidRowsError, PreconditionRequiredError, RowsRefusedError, ReportTooLargeError.
    """
    rows = list(values.numbered())
    until = None
    for _ in range(MAX_ATTEMPTS):
        with reading(until) as connection:
            present = _find_named(connection, rows)
            until = connection.until
        planned = plan(rows, present, demands_version=settings.require_if_match)
        # Before anything is written it is known whether the answer fits.
        report = _report(planned, is_preview=change.validate_only)
        foreseen = "{}"
        if to_do := [one for one in planned if one.action != "unchanged"]:
            try:
                with changing(change, *(one.after.id for one in to_do), until=until) as connection:
                    given = [one.given() for one in planned]
                    is_done = BUNDLES.save_many(connection, given, change.entry("updated"))
            except CodeTakenError:
                is_done = False
            if not is_done:
                continue
            foreseen = connection.foreseen
        if not change.validate_only:
            return report
        from shared.token_bundles.preview import warn_of_rows  # noqa: PLC0415 - see changing

        warnings = warn_of_rows([(one.row, one.before, one.after) for one in to_do], foreseen)
        return _fitting(ImportPreview(**report, validate_only=True, warnings=warnings))
    raise errors.DatabaseUnavailableError(OTHERS_WRITE)


def told(report: ImportReport, change: Change) -> dict[str, Any]:
    """Write for the log who has imported how much, or looked at what would come of it."""
    counts = {f"bundles_{action}": report[action] for action in ACTIONS}
    return {**change.caller.named(), **counts, "validate_only": change.validate_only}


def plan(
    rows: Iterable[tuple[int, Mapping[str, Any]]],
    present: Iterable[TokenBundle],
    *,
    demands_version: bool = False,
    new_id: Callable[[], UUID] = uuid4,
) -> list[Planned]:
    """Plan what numbered rows come to, given the bundles whose ids and codes are in them.

    `demands_version` is of those that are updated. Raises InvalidRowsError, PreconditionRequiredError,
    RowsRefusedError.
    """
    by_id = {bundle.id: bundle for bundle in present}
    by_code = {bundle.code: bundle for bundle in by_id.values() if bundle.code is not None}
    owners = {code: bundle.id for code, bundle in by_code.items()}
    planned: dict[UUID, Planned] = {}
    invalid: list[Wrong] = []
    refused: list[Wrong] = []
    lacks_version = False
    for row, given in rows:
        row_id, code, version = (given.get(name) for name in ("id", "code", "version"))
        has_version = version is not None
        known_by = "code" if row_id is None else "id"
        before = by_id.get(row_id) if row_id is not None else by_code.get(code or "")
        fields = {name: value for name, value in given.items() if name in BUNDLES.editable}
        if before is None:
            if row_id is not None or has_version:
                refused.append(_wrong(row, known_by, "not_found", errors.NotFoundError.detail))
                continue
            if missing := [name for name in REQUIRED if name not in fields]:
                invalid += [_wrong(row, name, "missing", "is required of a new one") for name in missing]
                continue
            new = {"id": new_id(), "version": 1, "created_at": NOT_YET, "updated_at": NOT_YET}
            one = Planned(row, None, TokenBundle(**DEFAULTS | fields | new), DEFAULTS | fields)
        else:
            fields = {name: value for name, value in fields.items() if value != getattr(before, name)}
            one = Planned(row, before, replace(before, **fields), fields)
            if has_version and version != before.version:
                stale = _wrong(row, "version", "changed_meanwhile", errors.VersionConflictError.detail)
                refused.append({**stale, "current_version": before.version})
        if other := planned.get(one.after.id):
            invalid.append(_wrong(row, known_by, "duplicate", f"is the same bundle as row {other.row}"))
        if code is not None and owners.setdefault(code, one.after.id) != one.after.id:
            refused.append(_wrong(row, "code", "code_taken", CodeTakenError.detail))
        planned[one.after.id] = one
        lacks_version |= one.action == "updated" and not has_version
    if invalid:
        raise InvalidRowsError(invalid)
    if demands_version and lacks_version:
        raise errors.PreconditionRequiredError
    if refused:
        raise RowsRefusedError(refused)
    return list(planned.values())


def _wrong(row: int, column: str, code: str, detail: str) -> Wrong:
    return {"row": row, "column": column, "code": code, "detail": detail}


def _find_named(
    connection: Connection, rows: Sequence[tuple[int, Mapping[str, Any]]]
) -> Sequence[TokenBundle]:
    """Return the bundles whose ids or codes are in the rows."""
    ids, codes = ([given[name] for _, given in rows if given.get(name)] for name in ("id", "code"))
    filters = Filters(ids=ids, codes=codes)
    return find_bundles(connection, ("sort_order",), filters, limit=2 * MAX_ROWS, offset=0).rows


def _report(planned: Sequence[Planned], *, is_preview: bool) -> ImportReport:
    """Tell what is done; raises ReportTooLargeError."""
    actions = Counter(one.action for one in planned)
    return _fitting(
        ImportReport(
            created=actions["created"],
            updated=actions["updated"],
            unchanged=actions["unchanged"],
            rows=[_report_row(one, is_preview=is_preview) for one in planned],
        )
    )


def _report_row(one: Planned, *, is_preview: bool) -> RowReport:
    changes = show_differences(show_editable_fields(one.before), show_editable_fields(one.after))
    report = RowReport(row=one.row, action=one.action, id=one.after.id, changes=changes)
    if is_preview and one.before is None:
        del report["id"]
    return report


def _fitting(report: Report) -> Report:
    if len(to_json(to_json(report).decode())) > errors.MAX_ANSWER_BYTES:
        raise ReportTooLargeError
    return report
