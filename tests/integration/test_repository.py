"""The SQL of token bundles, and the rules that the database keeps by itself."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import pg8000
import pytest
import sqlalchemy
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.callers import Caller
from shared.database import Connection
from shared.token_bundles import repository

VALUES = {"name": "Starter", "token_amount": 1, "price": Decimal("9.9")}
NO_ID = UUID(int=0)
CALLER = Caller("admin-1", None, "request-1")


@pytest.fixture
def own(connection: sqlalchemy.Connection) -> Connection:
    """The functions' way to use the connection of the tests."""
    return Connection(connection.connection)


@pytest.fixture
def statements(connection: sqlalchemy.Connection, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that are sent while the test runs."""
    sent: list[str] = []
    driver = connection.connection.dbapi_connection
    assert driver
    execute = driver.execute_unnamed

    def remember(sql: str, *others: Any) -> Any:
        sent.append(sql)
        return execute(sql, *others)

    monkeypatch.setattr(driver, "execute_unnamed", remember)
    return sent


class TestOneStatement:
    @pytest.mark.parametrize(
        "call",
        [
            lambda connection: repository.create_bundle(connection, VALUES, CALLER),
            lambda connection: repository.create_bundle(connection, VALUES, CALLER, "key"),
            lambda connection: repository.get_bundle(connection, NO_ID),
            lambda connection: repository.find_changes(connection, NO_ID, limit=20, offset=0),
            lambda connection: repository.update_bundle(
                connection, NO_ID, {"name": "x", "price": Decimal(1)}, CALLER
            ),
            lambda connection: repository.update_bundle(connection, NO_ID, {}, CALLER),
            lambda connection: repository.set_bundle_active(connection, NO_ID, CALLER, is_active=True),
            lambda connection: repository.delete_bundle(connection, NO_ID, CALLER, expected={1}),
            lambda connection: repository.find_bundles(connection, limit=20, offset=0, name_contains="x"),
            repository.find_active_bundles,
        ],
    )
    def test_each_function(
        self, own: Connection, statements: list[str], call: Callable[[Connection], object]
    ) -> None:
        call(own)
        assert len(statements) == 1


class TestActiveBundles:
    def test_in_display_order(self, own: Connection) -> None:
        for name, sort_order, is_active in [("c", 1, True), ("a", 2, True), ("b", 1, True), ("d", 0, False)]:
            repository.create_bundle(
                own, VALUES | {"name": name, "sort_order": sort_order, "is_active": is_active}, CALLER
            )
        assert [bundle.name for bundle in repository.find_active_bundles(own)] == ["b", "c", "a"]


class TestPrice:
    def test_is_exact(self, own: Connection) -> None:
        for written in ("0.1", "9999999.99", "99999999.9999", "0.0001"):
            bundle = repository.create_bundle(own, VALUES | {"price": Decimal(written)}, CALLER)
            assert bundle
            assert bundle.price == Decimal(written)


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

    def test_an_empty_description_is_none(self, own: Connection) -> None:
        with pytest.raises(pg8000.DatabaseError, match="ck_token_bundle_description_not_empty"):
            repository.create_bundle(own, VALUES | {"description": ""}, CALLER)

    def test_a_name_may_end_in_v(self, own: Connection) -> None:
        bundle = repository.create_bundle(own, VALUES | {"name": "v"}, CALLER)
        assert bundle
        assert bundle.name == "v"
