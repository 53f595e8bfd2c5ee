"""All SQL of token bundles; each function is one statement."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Row,
    Table,
    case,
    delete,
    false,
    func,
    insert,
    or_,
    select,
    true,
    update,
)

from shared.token_bundles.model import TokenBundle

BUNDLE = cast("Table", TokenBundle.__table__)
DISPLAY_ORDER = ("sort_order", "name")


class Page(NamedTuple):
    """Some of the bundles that match, and how many match in all."""

    bundles: list[TokenBundle]
    total: int


def create_bundle(connection: Connection, values: Mapping[str, Any]) -> TokenBundle:
    """Insert a bundle and return it as stored."""
    return _bundle(connection.execute(insert(BUNDLE).values(**values).returning(BUNDLE)).one())


def get_bundle(connection: Connection, bundle_id: UUID) -> TokenBundle | None:
    """Return the bundle, or None when there is none."""
    row = connection.execute(select(BUNDLE).where(BUNDLE.c.id == bundle_id)).one_or_none()
    return _bundle(row) if row else None


def update_bundle(connection: Connection, bundle_id: UUID, values: Mapping[str, Any]) -> TokenBundle | None:
    """Set the values, and count a new version only when one of them differs; None when there is no bundle."""
    differs = or_(false(), *(BUNDLE.c[name].is_distinct_from(value) for name, value in values.items()))
    statement = (
        update(BUNDLE)
        .where(BUNDLE.c.id == bundle_id)
        .values(
            **values,
            version=BUNDLE.c.version + case((differs, 1), else_=0),
            updated_at=case((differs, func.clock_timestamp()), else_=BUNDLE.c.updated_at),
        )
        .returning(BUNDLE)
    )
    row = connection.execute(statement).one_or_none()
    return _bundle(row) if row else None


def set_bundle_active(connection: Connection, bundle_id: UUID, *, is_active: bool) -> TokenBundle | None:
    """Activate or deactivate the bundle; None when there is none."""
    return update_bundle(connection, bundle_id, {"is_active": is_active})


def delete_bundle(connection: Connection, bundle_id: UUID) -> bool:
    """Delete the bundle for good; False when there is none."""
    statement = delete(BUNDLE).where(BUNDLE.c.id == bundle_id).returning(BUNDLE.c.id)
    return connection.execute(statement).one_or_none() is not None


def find_bundles(  # noqa: PLR0913
    connection: Connection,
    *,
    limit: int,
    offset: int,
    include_inactive: bool = True,
    name_contains: str = "",
    sort: Sequence[str] = DISPLAY_ORDER,
) -> Page:
    """Return one page of the bundles that match; `sort` names columns, with `-` before one for descending."""
    matches: list[ColumnElement[bool]] = []
    if not include_inactive:
        matches.append(BUNDLE.c.is_active)
    if name_contains:
        matches.append(BUNDLE.c.name.icontains(name_contains, autoescape=True))
    total = select(func.count().label("matching")).select_from(BUNDLE).where(*matches).subquery()
    page = (
        select(BUNDLE).where(*matches).order_by(*_order(BUNDLE, sort)).limit(limit).offset(offset).subquery()
    )
    # The total comes first, so that a page past the end, which has no rows, still has one.
    statement = (
        select(total.c.matching, page)
        .select_from(total.outerjoin(page, true()))
        .order_by(*_order(page, sort))
    )
    rows = connection.execute(statement).all()
    return Page([_bundle(row) for row in rows if row.id is not None], rows[0].matching)


def find_active_bundles(connection: Connection) -> list[TokenBundle]:
    """Return what is on sale, in the order in which it is displayed."""
    statement = select(BUNDLE).where(BUNDLE.c.is_active).order_by(*_order(BUNDLE, DISPLAY_ORDER))
    return [_bundle(row) for row in connection.execute(statement)]


def _order(source: FromClause, sort: Sequence[str]) -> list[ColumnElement[Any]]:
    """Order by the id last, so that no bundle repeats or goes missing between pages."""
    keys = [
        source.c[key.removeprefix("-")].desc() if key.startswith("-") else source.c[key].asc() for key in sort
    ]
    return [*keys, source.c.id.asc()]


def _bundle(row: Row[Any]) -> TokenBundle:
    """Type a row as the model whose columns it has, which spares the cost of an ORM session."""
    return cast("TokenBundle", row)
