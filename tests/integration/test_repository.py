"""The SQL of token bundles, and the rules that the database keeps by itself."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from decimal import Decimal
from uuid import UUID, uuid4

import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.callers import Caller
from shared.changes import Change
from shared.database import Connection, writing
from shared.errors import AlreadyTakenError, ChangedMeanwhileError, ConstraintViolatedError, NotFoundError
from shared.token_bundles.repository import BUNDLES, Filters, find_bundles, find_sql

VALUES: dict[str, object] = {
    "name": "Starter", "description": None, "token_amount": 1, "price": Decimal("9.9"), "is_active": True,
    "sort_order": 0, "metadata": {},
}  # fmt: skip
NO_ID = UUID(int=0)
CALLER = Caller("admin-1", None, "request-1")
ENTRY = Change(CALLER).entry("updated")
DELETED = Change(CALLER).entry("deleted")


def demand(
    expected: frozenset[int] | None = None,
    excluded: frozenset[int] | None = frozenset(),
    version: int | None = None,
) -> dict[str, object]:
    return {"expected": expected, "excluded": excluded, "version": version}


UNCONDITIONAL = demand()


def new(**values: object) -> dict[str, object]:
    return {"id": uuid4(), **VALUES, **values}


@pytest.fixture
def own(connection: sqlalchemy.Connection) -> Iterator[Connection]:  # noqa: ARG001
    """The functions' way to use the connection of the tests."""
    with writing() as own:
        yield own


class TestOneStatement:
    @pytest.mark.parametrize(
        "call",
        [
            lambda own: BUNDLES.create(own, new(), ENTRY, None),
            lambda own: BUNDLES.create(own, new(), ENTRY, CALLER.claim("key")),
            lambda own: BUNDLES.get(own, NO_ID),
            lambda own: BUNDLES.history(own, NO_ID, limit=20, offset=0),
            lambda own: BUNDLES.update(own, NO_ID, {"name": "x", "price": Decimal(1)}, ENTRY, UNCONDITIONAL),
            lambda own: BUNDLES.update(own, NO_ID, {}, ENTRY, demand(frozenset({1, 2}))),
            lambda own: BUNDLES.delete(own, NO_ID, ENTRY, demand(frozenset({1}))),
            lambda own: find_bundles(own, ("name",), Filters(part="x"), limit=20, offset=0),
        ],
    )
    def test_each_function(
        self, own: Connection, monkeypatch: pytest.MonkeyPatch, call: Callable[[Connection], object]
    ) -> None:
        sent: list[str] = []
        execute = own.execute

        def remember(sql: str, *parameters: object, **options: bool) -> str | None:
            sent.append(sql)
            return execute(sql, *parameters, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(own, "execute", remember)
        with suppress(NotFoundError):
            call(own)
        assert len(sent) == 1


class TestOutcomes:
    def test_of_an_update(self, own: Connection) -> None:
        bundle_id = BUNDLES.create(own, new(), ENTRY, None).settled().id
        for values, conditions, outcome in (
            ({"name": "Other"}, UNCONDITIONAL, "done"),
            ({"name": "Other"}, demand(frozenset({2})), "unchanged"),
            ({"name": "Third"}, demand(frozenset({1, 3})), "stale"),
            ({"name": "Other"}, demand(frozenset({1})), "stale"),
            ({"name": "Other"}, demand(frozenset()), "stale"),
            ({"name": "Other"}, demand(excluded=frozenset({1, 2})), "excluded"),
            ({"name": "Other"}, demand(excluded=None), "excluded"),
            ({"name": "Other"}, demand(frozenset({1}), frozenset({2}), 1), "stale"),
            ({"name": "Other"}, demand(frozenset({2}), frozenset({2}), 1), "excluded"),
            ({"name": "Other"}, demand(frozenset({2}), frozenset({1}), 1), "conflict"),
            ({"name": "Other"}, demand(version=2**63 - 1), "conflict"),
            ({"name": "Third"}, demand(frozenset({1, 2}), frozenset({1}), 2), "done"),
        ):
            updated = BUNDLES.update(own, bundle_id, values, ENTRY, conditions)
            assert (updated.outcome, updated.row) == (outcome, BUNDLES.get(own, bundle_id))
        assert BUNDLES.update(own, NO_ID, {}, ENTRY, demand(version=1)).outcome == "missing"

    def test_are_errors_in_one_place(self, own: Connection) -> None:
        bundle_id = BUNDLES.create(own, new(), ENTRY, None).settled().id
        with pytest.raises(ChangedMeanwhileError):
            BUNDLES.delete(own, bundle_id, DELETED, demand(frozenset({2}))).settled()
        assert BUNDLES.delete(own, bundle_id, DELETED, UNCONDITIONAL).settled() is None
        with pytest.raises(NotFoundError):
            BUNDLES.delete(own, bundle_id, DELETED, UNCONDITIONAL).settled()

    def test_a_value_that_must_be_unique(self, connection: sqlalchemy.Connection) -> None:
        connection.execute(text("CREATE UNIQUE INDEX uq_name ON token_bundle (name)"))
        with writing() as own:
            BUNDLES.create(own, new(), ENTRY, None)
        with pytest.raises(AlreadyTakenError) as taken, writing() as own:
            BUNDLES.create(own, new(), ENTRY, None)
        assert (taken.value.table, taken.value.constraint) == ("token_bundle", "uq_name")


@pytest.mark.parametrize(
    ("page", "counted"), [("4, 0", False), ("2, 2", False), ("2, 0", True), ("2, 4", True)]
)
def test_the_total_is_counted_only_when_the_page_does_not_tell_it(
    connection: sqlalchemy.Connection, page: str, counted: bool
) -> None:
    with writing() as own:
        for _ in range(3):
            BUNDLES.create(own, new(), ENTRY, None)
    connection.exec_driver_sql(f"PREPARE page AS {find_sql(('name',))}")
    values = f"'EUR', {page}, true, '', '', NULL, NULL, NULL"
    plan = connection.exec_driver_sql(f"EXPLAIN (ANALYZE) EXECUTE page({values})").scalars().all()
    connection.exec_driver_sql("DEALLOCATE page")
    assert ("never executed" not in "\n".join(plan)) is counted


class TestValues:
    def test_a_price_is_exact(self, own: Connection) -> None:
        for written in ("0.1", "9999999.99", "99999999.9999", "0.0001", "12345678.9012"):
            created = BUNDLES.create(own, new(price=Decimal(written)), ENTRY, None).settled()
            assert created.price == Decimal(written)

    @pytest.mark.parametrize("value", [object(), {1: object()}, [lambda: None]])
    def test_json_of_what_nobody_knows_is_refused(self, own: Connection, value: object) -> None:
        with pytest.raises(ValueError, match="Unable to serialize"):
            BUNDLES.create(own, new(name=value), ENTRY, None)

    def test_an_order_is_one_of_the_known(self) -> None:
        with pytest.raises(ValueError, match="index"):
            find_sql(("name; DROP TABLE token_bundle",))


class TestConstraints:
    @pytest.mark.parametrize(
        ("values", "constraint"),
        [
            ("'', 1, 1", "name_not_blank"),
            (r"E' \t\n\r\f\x0b', 1, 1", "name_not_blank"),
            ("'n', 0, 1", "token_amount_positive"),
            ("'n', 1, -0.01", "price_in_range"),
            ("'n', 1, 'NaN'", "price_in_range"),
        ],
    )
    def test_hold_whoever_writes(
        self, connection: sqlalchemy.Connection, values: str, constraint: str
    ) -> None:
        with pytest.raises(DBAPIError, match=f"ck_token_bundle_{constraint}"):
            connection.execute(
                text(f"INSERT INTO token_bundle (name, token_amount, price) VALUES ({values})")
            )

    @pytest.mark.parametrize(
        "time",
        ["infinity", "-infinity", "10000-01-01", "0001-12-31 BC", "0001-01-01 00:00+14", "294276-12-31"],
    )
    @pytest.mark.parametrize("column", ["created_at", "updated_at", "changed_at"])
    def test_a_time_is_one_that_python_has(
        self, connection: sqlalchemy.Connection, column: str, time: str
    ) -> None:
        add = {
            "changed_at": "INSERT INTO token_bundle_change (bundle_id, version, action, changed_at)"
            " VALUES (gen_random_uuid(), 1, 'deleted', :time)"
        }
        bundle = f"INSERT INTO token_bundle (name, token_amount, price, {column}) VALUES ('n', 1, 1, :time)"
        with pytest.raises(DBAPIError, match="_representable"):
            connection.execute(text(add.get(column, bundle)), {"time": time})

    @pytest.mark.usefixtures("connection")
    def test_an_empty_description_is_none(self) -> None:
        with pytest.raises(ConstraintViolatedError) as bug, writing() as own:
            BUNDLES.create(own, new(description=""), ENTRY, None)
        assert bug.value.constraint == "ck_token_bundle_description_not_empty"

    def test_a_name_may_end_in_v(self, own: Connection) -> None:
        assert BUNDLES.create(own, new(name="v"), ENTRY, None).settled().name == "v"
