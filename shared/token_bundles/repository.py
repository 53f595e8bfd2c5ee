"""All SQL of token bundles; each function is one statement, and each change takes its history along.

A statement is built once for each shape that it can have, and executed with the values of a request.
"""

import json
import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from datetime import datetime, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Generic, NamedTuple, TypeVar
from uuid import UUID

from sqlalchemy import (
    CTE,
    BigInteger,
    BindParameter,
    ColumnElement,
    FromClause,
    Integer,
    Select,
    Text,
    Uuid,
    any_,
    bindparam,
    case,
    delete,
    false,
    func,
    insert,
    null,
    or_,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy import cast as sql_cast
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.dialects.postgresql import insert as insert_or_update

from shared.callers import Caller
from shared.database import Connection, Statement
from shared.token_bundles.model import BUNDLES, CHANGES, IDEMPOTENCY_KEYS, TokenBundle, TokenBundleChange

DISPLAY_ORDER = ("sort_order", "name")
KEY_LIFETIME = timedelta(hours=24)

Versions = AbstractSet[int] | None
"""The versions that a change may start from; None for any."""


Found = TypeVar("Found", TokenBundle, TokenBundleChange)


class Page(NamedTuple, Generic[Found]):
    """Some of what matches, and how much matches in all."""

    rows: list[Found]
    total: int


class Change(NamedTuple):
    """The bundle as it is now, and whether it had one of the expected versions before."""

    bundle: TokenBundle
    expected: bool


def create_bundle(
    connection: Connection, values: Mapping[str, Any], caller: Caller, idempotency_key: str | None = None
) -> TokenBundle | None:
    """Insert a bundle and return it as stored; None when the caller has used the key in the last 24 hours."""
    statement = _create(tuple(values), keyed=idempotency_key is not None)
    parameters = _given(values) | _by(caller) | {"action": "created"}
    if idempotency_key is not None:
        parameters |= {"caller": caller.name, "key": idempotency_key}
    return _bundle(connection.execute(statement, parameters))


def get_bundle_created_with(connection: Connection, caller: Caller, idempotency_key: str) -> TokenBundle:
    """Return the bundle that the caller's key has created, as it was then."""
    parameters = {"caller": caller.name, "key": idempotency_key}
    ((snapshot,),) = connection.execute(_get_created_with(), parameters)
    stored = json.loads(snapshot, parse_float=Decimal)
    # It may be from before a migration.
    values = {name: stored[name] for name in TokenBundle._fields if name in stored}
    values["id"] = UUID(values["id"])
    for name in ("created_at", "updated_at"):
        values[name] = datetime.fromisoformat(values[name])
    return TokenBundle(**values)


def get_bundle(connection: Connection, bundle_id: UUID) -> TokenBundle | None:
    """Return the bundle, or None when there is none."""
    return _bundle(connection.execute(_get(), {"bundle_id": bundle_id}))


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
    parameters = _given(values) | _by(caller) | _on(bundle_id, expected) | {"action": action}
    for *bundle, was_expected in connection.execute(_update(tuple(values)), parameters):
        return Change(TokenBundle(*bundle), was_expected)
    return None


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
    parameters = _by(caller) | _on(bundle_id, expected) | {"action": "deleted"}
    for (was_expected,) in connection.execute(_delete(), parameters):
        return bool(was_expected)
    return None


def find_bundles(
    connection: Connection,
    *,
    limit: int,
    offset: int,
    include_inactive: bool = True,
    name_contains: str = "",
    sort: Sequence[str] = DISPLAY_ORDER,
) -> Page[TokenBundle]:
    """Return one page of the bundles that match; `sort` names columns, with `-` before one for descending."""
    statement = _find(tuple(sort), include_inactive=include_inactive, by_name=bool(name_contains))
    parameters = {"limit": limit, "offset": offset, "pattern": _pattern(name_contains)}
    return _page(TokenBundle, connection.execute(statement, parameters))


def find_active_bundles(connection: Connection) -> list[TokenBundle]:
    """Return what is on sale, in the order in which it is displayed."""
    return [TokenBundle(*row) for row in connection.execute(_find_active(), {})]


def find_changes(
    connection: Connection, bundle_id: UUID, *, limit: int, offset: int
) -> Page[TokenBundleChange]:
    """Return one page of what was done to the bundle, newest first, with the bundle before and after each."""
    parameters = {"limit": limit, "offset": offset, "bundle_id": bundle_id}
    return _page(TokenBundleChange, connection.execute(_find_changes(), parameters))


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {f"given_{name}": value for name, value in values.items()}


def _by(caller: Caller) -> dict[str, Any]:
    return caller._asdict()


def _on(bundle_id: UUID, expected: Versions) -> dict[str, Any]:
    return {"bundle_id": bundle_id, "expected": None if expected is None else sorted(expected)}


def _pattern(part: str) -> str:
    return "%" + re.sub("([/%_])", r"/\1", part) + "%"


def _bundle(rows: list[list[Any]]) -> TokenBundle | None:
    return TokenBundle(*rows[0]) if rows else None


def _page(kind: type[Found], rows: list[list[Any]]) -> Page[Found]:
    return Page([kind(*row[:-2]) for row in rows if row[-2]], total=rows[0][-1])


BUNDLE_ID = bindparam("bundle_id", type_=Uuid)
EXPECTED = bindparam("expected", type_=ARRAY(Integer))


@cache
def _create(fields: tuple[str, ...], *, keyed: bool) -> Statement:
    if not keyed:
        inserted = insert(BUNDLES).values({name: _parameter(name) for name in fields})
    else:
        claim = insert_or_update(IDEMPOTENCY_KEYS).values(caller=_text("caller"), key=_text("key"))
        claimed = (
            claim.on_conflict_do_update(
                index_elements=IDEMPOTENCY_KEYS.primary_key,
                set_={"bundle_id": claim.excluded.bundle_id, "created_at": claim.excluded.created_at},
                where=IDEMPOTENCY_KEYS.c.created_at <= func.now() - KEY_LIFETIME,
            )
            .returning(IDEMPOTENCY_KEYS.c.bundle_id)
            .cte("claimed")
        )
        given = select(claimed.c.bundle_id, *map(_parameter, fields))
        inserted = insert(BUNDLES).from_select(["id", *fields], given)
    created = inserted.returning(BUNDLES).cte("created")
    return Statement(select(created).add_cte(_recorded(created)))


@cache
def _get_created_with() -> Statement:
    return Statement(
        select(sql_cast(CHANGES.c.bundle, Text))
        .join(IDEMPOTENCY_KEYS, IDEMPOTENCY_KEYS.c.bundle_id == CHANGES.c.bundle_id)
        .where(
            IDEMPOTENCY_KEYS.c.caller == _text("caller"),
            IDEMPOTENCY_KEYS.c.key == _text("key"),
            CHANGES.c.action == "created",
        )
    )


@cache
def _get() -> Statement:
    return Statement(select(BUNDLES).where(BUNDLES.c.id == BUNDLE_ID))


@cache
def _update(fields: tuple[str, ...]) -> Statement:
    current = _locked()
    values = {name: _parameter(name) for name in fields}
    differs = or_(false(), *(current.c[name].is_distinct_from(value) for name, value in values.items()))
    changed = (
        update(BUNDLES)
        .where(BUNDLES.c.id == current.c.id, _is_expected(current), differs)
        .values(**values, version=BUNDLES.c.version + 1, updated_at=func.clock_timestamp())
        .returning(BUNDLES)
        .cte("changed")
    )
    either = union_all(
        select(changed, true().label("expected")),
        select(current, _is_expected(current).label("expected")).where(~select(changed.c.id).exists()),
    )
    return Statement(either.add_cte(_recorded(changed)))


@cache
def _delete() -> Statement:
    current = _locked()
    deleted = (
        delete(BUNDLES)
        .where(BUNDLES.c.id == current.c.id, _is_expected(current))
        .returning(BUNDLES.c.id, (BUNDLES.c.version + 1).label("version"))
        .cte("deleted")
    )
    was_expected = select(_is_expected(current)).select_from(current)
    return Statement(was_expected.add_cte(_recorded(deleted, bundle=null())))


# Callers choose the order, so there is no end to the shapes.
@lru_cache(maxsize=128)
def _find(sort: tuple[str, ...], *, include_inactive: bool, by_name: bool) -> Statement:
    matching = select(BUNDLES)
    if not include_inactive:
        matching = matching.where(BUNDLES.c.is_active)
    if by_name:
        matching = matching.where(func.lower(BUNDLES.c.name).like(func.lower(_text("pattern")), escape="/"))
    # The id comes last, so that no bundle repeats or goes missing between pages.
    return Statement(_page_of(matching, [*sort, "id"]), kept=False)


@cache
def _find_active() -> Statement:
    on_sale = select(BUNDLES).where(BUNDLES.c.is_active)
    return Statement(on_sale.order_by(*_order(BUNDLES, [*DISPLAY_ORDER, "id"])))


@cache
def _find_changes() -> Statement:
    earlier = CHANGES.alias("earlier")
    before = (
        select(sql_cast(earlier.c.bundle, Text))
        .where(earlier.c.bundle_id == CHANGES.c.bundle_id, earlier.c.version < CHANGES.c.version)
        .order_by(earlier.c.version.desc())
        .limit(1)
        .scalar_subquery()
    )
    after = sql_cast(CHANGES.c.bundle, Text)
    columns = [column for column in CHANGES.c if column.name != "bundle"]
    matching = select(*columns, before.label("before"), after.label("after")).where(
        CHANGES.c.bundle_id == BUNDLE_ID
    )
    return Statement(_page_of(matching, ["-version"]))


def _parameter(field: str) -> BindParameter[Any]:
    return bindparam(f"given_{field}", type_=BUNDLES.c[field].type)


def _text(name: str) -> BindParameter[str]:
    return bindparam(name, type_=Text)


def _locked() -> CTE:
    """Have the row at its newest, and keep it so.

    Conditions must look at it, not at the table: that is searched as it was when the statement began.
    """
    return select(BUNDLES).where(BUNDLES.c.id == BUNDLE_ID).with_for_update().cte("current")


def _is_expected(source: FromClause) -> ColumnElement[bool]:
    return or_(EXPECTED.is_(None), source.c.version == any_(EXPECTED))


def _recorded(changed: CTE, bundle: ColumnElement[Any] | None = None) -> CTE:
    """Add to the history in the statement that makes the change, so that neither is without the other."""
    entry = {
        "bundle_id": changed.c.id,
        "version": changed.c.version,
        "action": _text("action"),
        "bundle": func.to_jsonb(changed.table_valued()) if bundle is None else bundle,
        **{name: _text(name) for name in Caller._fields},
    }
    return insert(CHANGES).from_select(list(entry), select(*entry.values())).cte("recorded")


def _page_of(matching: Select[Any], sort: Sequence[str]) -> Select[Any]:
    """Select a page with the total beside it, which is counted only when the page does not tell it."""
    limit, offset = (bindparam(name, type_=BigInteger) for name in ("limit", "offset"))
    source = matching.get_final_froms()[0]
    page = (
        matching.add_columns(true().label("found"))
        .order_by(*_order(source, sort))
        .limit(limit)
        .offset(offset)
        .cte("page")
    )
    on_page = select(func.count()).select_from(page).scalar_subquery()
    all_matching = matching.with_only_columns(func.count(), maintain_column_froms=True).scalar_subquery()
    is_last = (on_page < limit) & ((on_page > 0) | (offset == 0))
    total = select(case((is_last, offset + on_page), else_=all_matching).label("total")).subquery("total")
    # The total comes first, so that a page past the end, which has no rows, still has one.
    with_total = select(page, total.c.total).select_from(total.outerjoin(page, true()))
    return with_total.order_by(*_order(page, sort))


def _order(source: FromClause, sort: Sequence[str]) -> list[ColumnElement[Any]]:
    return [
        source.c[key.removeprefix("-")].desc() if key.startswith("-") else source.c[key].asc() for key in sort
    ]
