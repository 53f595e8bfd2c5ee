"""All SQL of token bundles; each function is one statement, and each change takes its history along."""

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    CTE,
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Select,
    Table,
    Text,
    delete,
    false,
    func,
    insert,
    literal,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from shared.callers import Caller
from shared.token_bundles.model import TokenBundle, TokenBundleChange, TokenBundleIdempotencyKey

BUNDLE = cast("Table", TokenBundle.__table__)
CHANGE = cast("Table", TokenBundleChange.__table__)
KEY = cast("Table", TokenBundleIdempotencyKey.__table__)

DISPLAY_ORDER = ("sort_order", "name")
KEY_LIFETIME = timedelta(hours=24)

Versions = AbstractSet[int] | None
"""The versions that a change may start from; None for any."""


class Page(NamedTuple):
    """Some of the rows that match, and how many match in all."""

    rows: Sequence[Any]
    total: int


class Change(NamedTuple):
    """The bundle as it is now, and whether it had one of the expected versions before."""

    bundle: TokenBundle
    expected: bool


def create_bundle(
    connection: Connection, values: Mapping[str, Any], caller: Caller, idempotency_key: str | None = None
) -> TokenBundle | None:
    """Insert a bundle and return it as stored; None when the caller has used the key in the last 24 hours."""
    if idempotency_key is None:
        inserted = insert(BUNDLE).values(**values)
    else:
        claim = insert_or_update(KEY).values(caller=caller.name, key=idempotency_key)
        claimed = (
            claim.on_conflict_do_update(
                index_elements=KEY.primary_key,
                set_={"bundle_id": claim.excluded.bundle_id, "created_at": claim.excluded.created_at},
                where=KEY.c.created_at <= func.now() - KEY_LIFETIME,
            )
            .returning(KEY.c.bundle_id)
            .cte("claimed")
        )
        given = [literal(value, BUNDLE.c[name].type) for name, value in values.items()]
        inserted = insert(BUNDLE).from_select(["id", *values], select(claimed.c.bundle_id, *given))
    created = inserted.returning(BUNDLE).cte("created")
    statement = select(created).add_cte(_recorded(created, "created", caller))
    row = connection.execute(statement).one_or_none()
    return _bundle(row) if row else None


def get_bundle_created_with(connection: Connection, caller: Caller, idempotency_key: str) -> TokenBundle:
    """Return the bundle that the caller's key has created, as it was then."""
    statement = (
        select(sql_cast(CHANGE.c.bundle, Text))
        .join(KEY, KEY.c.bundle_id == CHANGE.c.bundle_id)
        .where(KEY.c.caller == caller.name, KEY.c.key == idempotency_key, CHANGE.c.action == "created")
    )
    values = json.loads(connection.execute(statement).scalar_one(), parse_float=Decimal)
    values["id"] = UUID(values["id"])
    for name in ("created_at", "updated_at"):
        values[name] = datetime.fromisoformat(values[name])
    return TokenBundle(**values)


def get_bundle(connection: Connection, bundle_id: UUID) -> TokenBundle | None:
    """Return the bundle, or None when there is none."""
    row = connection.execute(select(BUNDLE).where(BUNDLE.c.id == bundle_id)).one_or_none()
    return _bundle(row) if row else None


def update_bundle(
    connection: Connection,
    bundle_id: UUID,
    values: Mapping[str, Any],
    caller: Caller,
    *,
    expected: Versions = None,
    action: str = "updated",
) -> Change | None:
    """Set the values if one differs and the bundle has an expected version; None when there is none."""
    current = _locked(bundle_id)
    differs = or_(false(), *(current.c[name].is_distinct_from(value) for name, value in values.items()))
    changed = (
        update(BUNDLE)
        .where(BUNDLE.c.id == current.c.id, _is_expected(current, expected), differs)
        .values(**values, version=BUNDLE.c.version + 1, updated_at=func.clock_timestamp())
        .returning(BUNDLE)
        .cte("changed")
    )
    as_it_was = _is_expected(current, expected).label("expected")
    statement = union_all(
        select(changed, true().label("expected")),
        select(current, as_it_was).where(~select(changed.c.id).exists()),
    ).add_cte(_recorded(changed, action, caller))
    row = connection.execute(statement).one_or_none()
    return Change(_bundle(row), row.expected) if row else None


def set_bundle_active(
    connection: Connection, bundle_id: UUID, caller: Caller, *, is_active: bool, expected: Versions = None
) -> Change | None:
    """Activate or deactivate the bundle if it has an expected version; None when there is none."""
    action = "activated" if is_active else "deactivated"
    return update_bundle(
        connection, bundle_id, {"is_active": is_active}, caller, expected=expected, action=action
    )


def delete_bundle(
    connection: Connection, bundle_id: UUID, caller: Caller, *, expected: Versions = None
) -> bool | None:
    """Delete the bundle if it has an expected version, and tell whether; None when there is none."""
    current = _locked(bundle_id)
    deleted = (
        delete(BUNDLE)
        .where(BUNDLE.c.id == current.c.id, _is_expected(current, expected))
        .returning(BUNDLE.c.id, (BUNDLE.c.version + 1).label("version"))
        .cte("deleted")
    )
    statement = select(_is_expected(current, expected)).select_from(current)
    return connection.scalar(statement.add_cte(_recorded(deleted, "deleted", caller)))


def find_bundles(
    connection: Connection,
    *,
    limit: int,
    offset: int,
    include_inactive: bool = True,
    name_contains: str = "",
    sort: Sequence[str] = DISPLAY_ORDER,
) -> Page:
    """Return one page of the bundles that match; `sort` names columns, with `-` before one for descending."""
    matching = select(BUNDLE)
    if not include_inactive:
        matching = matching.where(BUNDLE.c.is_active)
    if name_contains:
        matching = matching.where(BUNDLE.c.name.icontains(name_contains, autoescape=True))
    # The id comes last, so that no bundle repeats or goes missing between pages.
    return _page(connection, matching, [*sort, "id"], limit, offset)


def find_active_bundles(connection: Connection) -> list[TokenBundle]:
    """Return what is on sale, in the order in which it is displayed."""
    statement = select(BUNDLE).where(BUNDLE.c.is_active).order_by(*_order(BUNDLE, [*DISPLAY_ORDER, "id"]))
    return [_bundle(row) for row in connection.execute(statement)]


def find_changes(connection: Connection, bundle_id: UUID, *, limit: int, offset: int) -> Page:
    """Return one page of what was done to the bundle, newest first, with the bundle before and after each."""
    earlier = CHANGE.alias("earlier")
    before = (
        select(sql_cast(earlier.c.bundle, Text))
        .where(earlier.c.bundle_id == CHANGE.c.bundle_id, earlier.c.version < CHANGE.c.version)
        .order_by(earlier.c.version.desc())
        .limit(1)
        .scalar_subquery()
    )
    after = sql_cast(CHANGE.c.bundle, Text)
    columns = [column for column in CHANGE.c if column.name != "bundle"]
    matching = select(*columns, before.label("before"), after.label("after")).where(
        CHANGE.c.bundle_id == bundle_id
    )
    return _page(connection, matching, ["-version"], limit, offset)


def _locked(bundle_id: UUID) -> CTE:
    """Have the row at its newest, and keep it so.

    Conditions must look at it, not at the table: that is searched as it was when the statement began.
    """
    return select(BUNDLE).where(BUNDLE.c.id == bundle_id).with_for_update().cte("current")


def _is_expected(source: FromClause, versions: Versions) -> ColumnElement[bool]:
    return true() if versions is None else source.c.version.in_(versions)


def _recorded(changed: CTE, action: str, caller: Caller) -> CTE:
    """Add to the history in the statement that makes the change, so that neither is without the other."""
    entry = {
        "bundle_id": changed.c.id,
        "version": changed.c.version,
        "action": literal(action),
        "bundle": func.to_jsonb(changed.table_valued()) if action != "deleted" else null(),
        **{name: literal(value, Text) for name, value in caller._asdict().items()},
    }
    return insert(CHANGE).from_select(list(entry), select(*entry.values())).cte("recorded")


def _page(
    connection: Connection, matching: Select[Any], sort: Sequence[str], limit: int, offset: int
) -> Page:
    total = matching.with_only_columns(func.count().label("matching"), maintain_column_froms=True).subquery()
    source = matching.get_final_froms()[0]
    page = (
        matching.order_by(*_order(source, sort))
        .limit(limit)
        .offset(offset)
        .add_columns(true().label("found"))
    )
    found = page.subquery()
    # The total comes first, so that a page past the end, which has no rows, still has one.
    statement = (
        select(total.c.matching, found)
        .select_from(total.outerjoin(found, true()))
        .order_by(*_order(found, sort))
    )
    rows = connection.execute(statement).all()
    return Page([row for row in rows if row.found], rows[0].matching)


def _order(source: FromClause, sort: Sequence[str]) -> list[ColumnElement[Any]]:
    return [
        source.c[key.removeprefix("-")].desc() if key.startswith("-") else source.c[key].asc() for key in sort
    ]


def _bundle(row: Row[Any]) -> TokenBundle:
    """Type a row as the model whose columns it has, which spares the cost of an ORM session."""
    return cast("TokenBundle", row)
