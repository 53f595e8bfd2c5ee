"""The connection that sends a statement in one flush, compared with pg8000's own."""

import os
import random
import socket
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import partial
from typing import Any
from uuid import UUID

import pg8000
import pytest
from sqlalchemy import Engine, bindparam, text

from shared.database.engine import Connection, Statement, make_engine
from shared.database.one_flush import OneFlushConnection
from shared.settings import Timeouts
from tests.client import request
from tests.integration.conftest import functions_with, url_of
from tests.proxy import Proxy

QUERIES = 6000 if os.environ.get("TEST_SIZE") == "full" else 300
BROKEN = "\ud800"

# A cast and values of its type.
TYPES: list[tuple[str, list[Any]]] = [
    ("uuid", [UUID(int=0), UUID("5d2c3c0e-6b0b-4c5c-9d0b-0f7c2f0e6a51")]),
    ("text", ["", "a", "ü\U0001f600", "$1 %s ? :x 'quoted' \"too\"", "x" * 70_000]),
    ("varchar(5)", ["", "abcde"]),
    ("integer", [0, -(2**31), 2**31 - 1]),
    ("bigint", [0, -(2**63), 2**63 - 1]),
    ("numeric(12, 4)", [Decimal(0), Decimal("99999999.9999"), Decimal("9.9")]),
    ("boolean", [True, False]),
    ("double precision", [0.0, 1e300, -1.5]),
    ("jsonb", ['{"price": 9.90, "name": "ü"}', "null", "[]"]),
    ("json", ['{"a": 1}']),
    ("integer[]", [[], [1, 2, 3]]),
    ("text[]", [[], ["a", 'b"c', "d,e"]]),
    ("bytea", [b"", b"\0\xff"]),
    ("date", [date(2026, 2, 28)]),
    ("time", [time(23, 59, 59, 1)]),
    ("interval", [timedelta(hours=24)]),
    (
        "timestamptz",
        [
            datetime(2026, 11, 25, 18, 12, 17, 123456, tzinfo=UTC),
            datetime(2026, 11, 25, tzinfo=UTC),
            datetime(1, 1, 2, tzinfo=UTC),
            "infinity",
            "-infinity",
            "0044-03-15 12:00:00+00 BC",
            "294276-12-31 23:59:59.999999+00",
            "1890-01-01 00:00:00.5+00:53:28",
        ],
    ),
    ("timestamp", ["2026-11-25 18:12:00"]),
    ("timestamptz[]", [[datetime(2026, 11, 25, tzinfo=UTC)]]),
]
ERRORS: list[tuple[str, list[Any]]] = [
    ("SELECT 1 / $1::integer", [0]),
    ("SELECT $1::integer", ["x"]),
    ("SELECT nothing FROM nowhere WHERE id = $1::integer", [1]),
    ("SELEKT $1::integer", [1]),
    ("SELECT $1::integer, $2::integer", [1]),
    ("SELECT $1", [1, 2]),
    ("SELECT $1::text", ["\0"]),
    ("INSERT INTO things VALUES ($1::integer)", [-1]),
    ("INSERT INTO things SELECT n FROM generate_series(3, $1::integer, -1) n", [-1]),
]
OTHERS: list[tuple[str, list[Any]]] = [
    ("INSERT INTO things VALUES ($1::integer), ($1::integer) RETURNING number", [7]),
    ("UPDATE things SET number = number + $1::integer", [1]),
    ("DELETE FROM things WHERE number < $1::integer", [0]),
    ("SELECT FROM things WHERE number > $1::integer", [0]),
    ("SELECT n, repeat('x', n) FROM generate_series(1, $1::integer) n", [2000]),
    ("SELECT NULL::integer, $1::text", [None]),
]

DIVISION = Statement(text("SELECT 6 / CAST(:x AS integer)"))

Outcome = tuple[str, Any]


def connect(kind: Callable[..., pg8000.Connection], database: Engine) -> pg8000.Connection:
    url = database.url
    connection = kind(
        user=url.username, host=url.host, port=url.port, database=url.database, ssl_context=False
    )
    connection.execute_simple("SET TimeZone = 'UTC'")
    connection.execute_simple("CREATE TEMPORARY TABLE things (number integer CHECK (number >= 0))")
    return connection


@pytest.fixture
def stock(database: Engine) -> Iterator[pg8000.Connection]:
    with connect(pg8000.Connection, database) as connection:
        yield connection


@pytest.fixture
def ours(database: Engine) -> Iterator[OneFlushConnection]:
    connection = connect(partial(OneFlushConnection, keeps_statements=True), database)
    yield connection
    with suppress(pg8000.Error, OSError):
        connection.close()


def outcome(connection: pg8000.Connection, statement: str, values: list[Any]) -> Outcome:
    try:
        context = connection.execute_unnamed(statement, values)
    except pg8000.InterfaceError as error:
        return "refused", str(error)
    except pg8000.DatabaseError as error:
        # The schema is that of each connection's own temporary table.
        return "refused", {key: value for key, value in error.args[0].items() if key != "s"}
    columns = [(column["name"], column["type_oid"]) for column in context.columns or []]
    return "done", (columns, context.rows, context.row_count)


class TestLikeTheStockConnection:
    @pytest.mark.parametrize(("cast", "value"), [(cast, value) for cast, values in TYPES for value in values])
    def test_value(self, cast: str, value: Any, stock: pg8000.Connection, ours: OneFlushConnection) -> None:
        statement = f"SELECT $1::{cast} AS one, NULL::{cast} AS two"
        expected = outcome(stock, statement, [value])
        assert expected[0] == "done"
        assert outcome(ours, statement, [value]) == expected

    @pytest.mark.parametrize(("statement", "values"), ERRORS)
    def test_error(
        self, statement: str, values: list[Any], stock: pg8000.Connection, ours: OneFlushConnection
    ) -> None:
        expected = outcome(stock, statement, values)
        assert expected[0] == "refused"
        assert outcome(ours, statement, values) == expected
        assert outcome(ours, "SELECT $1::integer", [1]) == outcome(stock, "SELECT $1::integer", [1])

    def test_random_sequences(self, stock: pg8000.Connection, ours: OneFlushConnection) -> None:
        """Of values, errors and changes, in and out of transactions that end either way."""
        choice = random.Random(20261125)  # noqa: S311 - nothing is secret here
        for _ in range(QUERIES):
            control = choice.choice(["", "", "", "", "begin", "commit", "rollback"])
            if control:
                assert outcome(ours, control, []) == outcome(stock, control, [])
                assert ours._transaction_status == stock._transaction_status  # noqa: SLF001
            if choice.random() < 0.5:
                chosen = choice.choices(TYPES, k=choice.randint(1, 8))
                casts = ", ".join(f"${number}::{cast}" for number, (cast, _) in enumerate(chosen, 1))
                statement, values = (
                    f"SELECT {casts}",
                    [choice.choice([None, *values]) for _, values in chosen],
                )
            else:
                statement, values = choice.choice(ERRORS + OTHERS)
            assert outcome(ours, statement, values) == outcome(stock, statement, values), statement
        for connection in (ours, stock):
            connection.rollback()
        everything = "SELECT number FROM things ORDER BY number"
        assert outcome(ours, everything, []) == outcome(stock, everything, [])

    def test_named_parameters(self, database: Engine) -> None:
        statement = Statement(
            text("SELECT :one AS one, CAST(:two AS numeric) / :three AS two, '100%' AS three").bindparams(
                bindparam("three", 4)
            )
        )
        for one_flush in (False, True):
            engine = make_engine(url_of(database), Timeouts(), one_flush=one_flush)
            with closing(engine.raw_connection()) as pooled:
                rows = Connection(pooled).execute(statement, {"one": "%s $1 :x", "two": Decimal(1)})
            engine.dispose()
            assert rows == [["%s $1 :x", Decimal("0.25"), "100%"]]


class TestKeptStatements:
    def execute(self, ours: OneFlushConnection, statement: str, values: list[Any]) -> list[list[Any]]:
        rows: list[list[Any]] = ours.execute_kept(statement, values).rows
        return rows

    def kept(self, ours: OneFlushConnection) -> int:
        (count,) = ours.execute_unnamed("SELECT count(*) FROM pg_prepared_statements").rows[0]
        return int(count)

    def test_like_others(self, stock: pg8000.Connection, ours: OneFlushConnection) -> None:
        for cast, values in TYPES:
            for value in [*values, None]:
                statement = f"SELECT $1::{cast} AS one"
                expected = stock.execute_unnamed(statement, [value])
                got = ours.execute_kept(statement, [value])
                assert (got.rows, got.row_count) == (expected.rows, expected.row_count)
        assert self.kept(ours) == len(TYPES)

    def test_an_error_does_not_keep_it_twice(self, ours: OneFlushConnection) -> None:
        for divisor in (0, 0, 1, 0, 1):
            if divisor:
                assert self.execute(ours, "SELECT 1 / $1::integer", [divisor]) == [[1]]
            else:
                with pytest.raises(pg8000.DatabaseError, match="division by zero"):
                    self.execute(ours, "SELECT 1 / $1::integer", [divisor])
        assert self.kept(ours) == 1

    def test_its_result_has_changed(self, ours: OneFlushConnection) -> None:
        """As when a migration changes a column's type."""
        ours.execute_unnamed("INSERT INTO things VALUES (1)")
        statement = "SELECT number FROM things WHERE number = $1::integer"
        assert self.execute(ours, statement, [1]) == [[1]]
        ours.execute_unnamed("ALTER TABLE things ALTER number TYPE numeric(3, 1)")
        for _ in range(2):
            assert self.execute(ours, statement, [1]) == [[Decimal("1.0")]]

    def test_the_server_has_forgotten_it(self, ours: OneFlushConnection) -> None:
        assert self.execute(ours, "SELECT $1::integer", [1]) == [[1]]
        ours.execute_simple("DEALLOCATE ALL")
        assert self.execute(ours, "SELECT $1::integer", [2]) == [[2]]

    def test_not_behind_a_pooler(self, database: Engine) -> None:
        for pooled, count in ((False, 1), (True, 0)):
            engine = make_engine(url_of(database), Timeouts(), one_flush=True, pooled=pooled)
            with closing(engine.raw_connection()) as connection:
                Connection(connection).execute(Statement(text("SELECT 1")), {})
                driver = connection.dbapi_connection
                assert isinstance(driver, OneFlushConnection)
                assert self.kept(driver) == count
            engine.dispose()


class TestOneRoundTrip:
    @pytest.fixture
    def proxy(self, database: Engine) -> Iterator[Proxy]:
        with Proxy(url_of(database)) as proxy:
            yield proxy

    def test_connecting_and_asking(self, proxy: Proxy) -> None:
        engine = make_engine(proxy.url, Timeouts(), one_flush=True)
        for number in range(1, 4):
            with closing(engine.raw_connection()) as pooled:
                rows = Connection(pooled).execute(DIVISION, {"x": number})
            assert rows == [[6 // number]]
            assert proxy.round_trips == 1 + number
        with closing(engine.raw_connection()) as pooled:
            with pytest.raises(pg8000.DatabaseError, match="division by zero"):
                Connection(pooled).execute(DIVISION, {"x": 0})
            assert Connection(pooled).execute(DIVISION, {"x": 6}) == [[1]]
        assert proxy.round_trips == 6
        engine.dispose()

    def test_stock_takes_more(self, proxy: Proxy) -> None:
        engine = make_engine(proxy.url, Timeouts())
        with closing(engine.raw_connection()) as pooled:
            warm = proxy.round_trips
            assert Connection(pooled).execute(DIVISION, {"x": 6}) == [[1]]
            assert proxy.round_trips - warm == 3
        engine.dispose()


class TestBrokenConnection:
    def test_what_cannot_be_encoded_is_not_sent(self, ours: OneFlushConnection) -> None:
        with pytest.raises(UnicodeEncodeError):
            ours.execute_unnamed("SELECT $1::text", [BROKEN])
        assert ours.execute_unnamed("SELECT $1::text", ["next"]).rows == [["next"]]

    def test_a_notice_that_comes_in_two_pieces(self, ours: OneFlushConnection) -> None:
        """Half of it with one answer, and half with the next."""
        here, there = socket.socketpair()
        real = ours._usock, ours._sock  # noqa: SLF001
        ours._usock, ours._sock = here, here.makefile("rwb")  # noqa: SLF001
        try:
            done, ready = b"C\0\0\0\x0dSELECT 0\0", b"Z\0\0\0\x05I"
            notice = b"N\0\0\0\x0cSNOTICE\0"
            there.sendall(done + ready + notice[:7])
            ours.execute_unnamed("SELECT 1")
            there.sendall(notice[7:] + done + ready)
            ours.execute_unnamed("SELECT 1")
            assert ours.notices.pop()[b"S"] == b"NOTICE"
        finally:
            ours._sock.close()  # noqa: SLF001
            here.close()
            there.close()
            ours._usock, ours._sock = real  # noqa: SLF001

    def test_closed(self, database: Engine) -> None:
        connection = connect(OneFlushConnection, database)
        connection.close()
        with pytest.raises(pg8000.InterfaceError, match="connection is closed"):
            connection.execute_unnamed("SELECT 1")

    def test_ended_by_the_server(self, ours: OneFlushConnection, stock: pg8000.Connection) -> None:
        (pid,) = ours.execute_unnamed("SELECT pg_backend_pid()").rows[0]
        stock.execute_unnamed("SELECT pg_terminate_backend($1::integer, 10000)", [pid])
        with pytest.raises((pg8000.Error, OSError)):
            ours.execute_unnamed("SELECT 1")


def test_a_setting_switches_it_off(database: Engine) -> None:
    from shared.database import engine  # noqa: PLC0415

    for setting, kind in (("true", OneFlushConnection), ("false", pg8000.Connection)):
        with functions_with(DATABASE_URL=url_of(database), DATABASE_ONE_FLUSH=setting):
            with closing(engine.engine().raw_connection()) as connection:
                assert type(connection.dbapi_connection) is kind
            assert request("GET").status == 200
