"""The connection that executes a statement in one round trip, compared with pg8000's own."""

import os
import random
import socket
import ssl
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from typing import Any
from uuid import UUID

import pg8000
import pytest
import trustme
from sqlalchemy import Engine

from shared.database.connection import connect
from shared.database.driver import PipelinedConnection
from shared.settings import Timeouts
from tests.integration.conftest import functions_with, url_of
from tests.postgres import connected
from tests.proxy import CONNECTING, Proxy, Scripted

# Of the protocol: what ends a login and a statement, and what may come at any time.
READY = b"Z\0\0\0\5I"
LOGIN = b"R\0\0\0\x08\0\0\0\0" + READY
DONE = b"C\0\0\0\x0dSELECT 0\0"
NOTICE = b"N\0\0\0\x0cSNOTICE\0"

STATEMENTS = 6000 if os.environ.get("TEST_SIZE") == "full" else 300

# A cast, and values of its type as the driver is given them.
TYPES: list[tuple[str, list[Any]]] = [
    ("uuid", [UUID(int=0), UUID("5d2c3c0e-6b0b-4c5c-9d0b-0f7c2f0e6a51")]),
    ("text", ["", "a", "ü\U0001f600", "$1 %s ? :x 'quoted' \"too\"", "x" * 70_000]),
    ("integer", [0, -(2**31), 2**31 - 1]),
    ("bigint", [-(2**63), 2**63 - 1]),
    ("numeric(12, 4)", ["0", "99999999.9999"]),
    ("boolean", [True, False]),
    ("jsonb", ['{"price": 9.90, "name": "ü"}', "null", "[]"]),
    ("integer[]", ["{}", "{1,2,3}"]),
    ("timestamptz", ["2026-11-25 18:12:17.123456+00", "infinity", "0044-03-15 12:00:00+00 BC"]),
]
ERRORS: list[tuple[str, list[Any]]] = [
    ("SELECT (1 / $1::integer)::text", [0]),
    ("SELECT ($1::integer)::text", ["x"]),
    ("SELECT nothing FROM nowhere WHERE id = $1::integer", [1]),
    ("SELEKT $1::integer", [1]),
    ("SELECT ($1::boolean)::text", ["perhaps"]),
    ("SELECT $1::text", ["\0"]),
    ("INSERT INTO things VALUES ($1::integer) RETURNING number::text", [-1]),
]
OTHERS: list[tuple[str, list[Any]]] = [
    ("INSERT INTO things VALUES ($1::integer) RETURNING number::text", [7]),
    ("WITH more AS (UPDATE things SET number = number + 1 RETURNING 1) SELECT count(*)::text FROM more", []),
    ("SELECT sum(number)::text FROM things WHERE number > $1::integer", [3]),
    ("SELECT number::text FROM things WHERE number < $1::integer", [0]),
    ("SELECT repeat('x', $1::integer)", [100_000]),
    ("SELECT $1::text", [None]),
]  # fmt: skip

prepared_or_not = pytest.mark.parametrize("prepared", [True, False], ids=["prepared", "unnamed"])


@pytest.fixture
def ours(database: Engine) -> Iterator[PipelinedConnection]:
    connection = new_connection(url_of(database))
    yield connection
    with suppress(pg8000.Error, OSError):
        connection.close()


@pytest.fixture
def stock(database: Engine) -> Iterator[pg8000.Connection]:
    with connected(url_of(database)) as connection:
        prepare(connection)
        yield connection


def new_connection(url: str) -> PipelinedConnection:
    connection = connect(url, Timeouts())
    prepare(connection)
    return connection


def prepare(connection: pg8000.Connection) -> None:
    connection.execute_simple("SET TimeZone = 'UTC'")
    connection.execute_simple("CREATE TEMPORARY TABLE things (number integer CHECK (number >= 0))")


def outcome(connection: pg8000.Connection, sql: str, values: list[Any], *, prepared: bool = True) -> Any:
    """What a statement selects, or what the server says of it."""
    try:
        if isinstance(connection, PipelinedConnection):
            texts = connection.execute_pipelined(sql, values, prepared=prepared)
            return texts[0] if texts else None
        rows = connection.execute_unnamed(sql, values).rows
        return rows[0][0] if rows else None
    except pg8000.DatabaseError as error:
        # SQLSTATE, table, column, constraint: ours keeps no values of rows, which a message may quote, too.
        return {key: value for key, value in error.args[0].items() if key in "Ctcn"}


@prepared_or_not
class TestLikeTheStockConnection:
    @pytest.mark.parametrize(("cast", "value"), [(cast, value) for cast, values in TYPES for value in values])
    def test_value(
        self, cast: str, value: Any, stock: pg8000.Connection, ours: PipelinedConnection, prepared: bool
    ) -> None:
        for given in (value, None, value):
            sql, values = f"SELECT ($1::{cast})::text", [given]
            expected = outcome(stock, sql, values)
            assert not isinstance(expected, dict)
            assert outcome(ours, sql, values, prepared=prepared) == expected

    def test_random_sequences(
        self, stock: pg8000.Connection, ours: PipelinedConnection, prepared: bool
    ) -> None:
        choice = random.Random(20261125)  # noqa: S311 - nothing is secret here
        refused = 0
        for _ in range(STATEMENTS):
            sql, values = choice.choice(ERRORS + OTHERS)
            expected = outcome(stock, sql, values)
            assert outcome(ours, sql, values, prepared=prepared) == expected, sql
            refused += isinstance(expected, dict)
        assert STATEMENTS / 4 < refused < STATEMENTS


class TestPreparedStatements:
    def prepared(self, ours: PipelinedConnection) -> int:
        return int(outcome(ours, "SELECT count(*)::text FROM pg_prepared_statements", [], prepared=False))

    def test_are_prepared_once(self, ours: PipelinedConnection) -> None:
        for number in range(3):
            assert outcome(ours, "SELECT ($1::integer)::text", [number]) == str(number)
            assert outcome(ours, "SELECT ($1::integer + 1)::text", [number]) == str(number + 1)
        assert self.prepared(ours) == 2

    def test_an_error_does_not_prepare_it_twice(self, ours: PipelinedConnection, stock: Any) -> None:
        for divisor in (0, 0, 1, 0):
            sql, values = "SELECT (6 / $1::integer)::text", [divisor]
            assert outcome(ours, sql, values) == outcome(stock, sql, values)
        assert self.prepared(ours) == 1

    @pytest.mark.parametrize(
        "meanwhile",
        [
            pytest.param("DEALLOCATE ALL", id="the server has forgotten it"),
            pytest.param("ALTER TABLE things ALTER number TYPE numeric(3, 1)", id="its result has changed"),
        ],
    )
    def test_heal_when(self, ours: PipelinedConnection, meanwhile: str) -> None:
        sql = "SELECT sum(number) FROM things WHERE number = $1::integer"
        outcome(ours, "INSERT INTO things VALUES (1) RETURNING ''", [])
        assert outcome(ours, sql, [1]) == "1"
        ours.execute_simple(meanwhile)
        for _ in range(2):
            assert outcome(ours, sql, [1]) in {"1", "1.0"}

    def test_heal_when_the_name_is_there_already(self, ours: PipelinedConnection) -> None:
        """As on a server that another client of a pooler has used before."""
        sql = "SELECT ($1::integer)::text"
        assert outcome(ours, sql, [1]) == "1"
        ours._prepared.clear()  # noqa: SLF001
        for _ in range(2):
            assert outcome(ours, sql, [2]) == "2"
        assert self.prepared(ours) == 1

    def test_a_name_never_means_another_statement(self, database: Engine) -> None:
        """Whatever order connections prepare their statements in."""
        names = []
        for order in (1, -1):
            connection = new_connection(url_of(database))
            for sql in ("SELECT ($1::integer)::text", "SELECT ($1::integer * 2)::text")[::order]:
                outcome(connection, sql, [1])
            rows = connection.execute_unnamed("SELECT name, statement FROM pg_prepared_statements").rows
            names.append({name: statement for name, statement in rows if statement.startswith("SELECT (")})
            connection.close()
        assert names[0] == names[1]
        assert len(names[0]) == 2

    @pytest.mark.parametrize(("pooled", "count"), [("false", 1), ("true", 0)])
    def test_not_behind_a_pooler(self, database: Engine, pooled: str, count: int) -> None:
        from shared.database import reading  # noqa: PLC0415

        with functions_with(DATABASE_URL=url_of(database), DATABASE_POOLED=pooled), reading() as connection:
            connection.execute("SELECT 'x'")
            found = connection.execute("SELECT count(*)::text FROM pg_prepared_statements", prepared=False)
            assert found == str(count)


class TestOneRoundTrip:
    def test_connecting_and_asking(self, database: Engine) -> None:
        sql = "SELECT (6 / $1::integer)::text"
        with Proxy(url_of(database)) as proxy:
            connection = connect(proxy.url, Timeouts())
            for number in range(1, 4):
                assert outcome(connection, sql, [number]) == str(6 // number)
                assert proxy.round_trips == CONNECTING + number
            assert outcome(connection, sql, [0])["C"] == "22012"
            assert proxy.round_trips == CONNECTING + 4
            connection.execute_simple("DEALLOCATE ALL")
            assert outcome(connection, sql, [6]) == "1"
            assert proxy.round_trips == CONNECTING + 7
            connection.close()


class TestBrokenConnection:
    def test_what_cannot_be_encoded_is_not_sent(self, ours: PipelinedConnection) -> None:
        with pytest.raises(UnicodeEncodeError):
            outcome(ours, "SELECT $1::text", ["\ud800"])
        assert outcome(ours, "SELECT $1::text", ["next"]) == "next"

    def test_ends_before_what_has_not_come(self, ours: PipelinedConnection) -> None:
        until = time.monotonic() + 0.3
        with pytest.raises(TimeoutError):
            ours.execute_pipelined("SELECT '' FROM pg_sleep(20)", [], prepared=True, until=until)
        assert until <= time.monotonic() < until + 1
        assert not ours.is_settled

    def test_a_time_is_for_one_statement(self, ours: PipelinedConnection) -> None:
        until = time.monotonic() + 0.2
        assert ours.execute_pipelined("SELECT 'soon'", [], prepared=True, until=until) == ["soon"]
        time.sleep(0.2)
        assert ours.execute_pipelined("SELECT 'later'", [], prepared=True) == ["later"]
        assert ours.execute_simple("SELECT 'by pg8000'").rows == [["by pg8000"]]

    def test_an_error_tells_nothing_of_a_row(self, ours: PipelinedConnection) -> None:
        with pytest.raises(pg8000.DatabaseError) as refused:
            ours.execute_pipelined("INSERT INTO things VALUES (-77) RETURNING ''", [], prepared=True)
        assert "-77" not in str(refused.value)
        assert refused.value.args[0]["n"] == "things_number_check"
        assert ours.is_settled

    @pytest.mark.parametrize(
        "garbage", [b"?\0\0\0\4", b"Z\0\0\0\0I", b"N\xff\xff\xff\xff", b"D\0\0\0\4", b"S\0\0\0\6\xff="]
    )
    def test_garbage_is_no_answer(self, garbage: bytes) -> None:
        with Scripted(LOGIN, garbage + DONE + READY) as server:
            connection = connect(server.url, Timeouts())
            with pytest.raises(pg8000.InterfaceError):
                connection.execute_pipelined("SELECT ''", [], prepared=True)
            assert not connection.is_settled
            connection.hang_up()

    def test_a_goodbye_that_nobody_hears_is_not_tried_again(self) -> None:
        """As Python would when it collects the buffer, since 3.13 with a traceback in the log."""
        with Scripted(LOGIN) as server:
            connection = connect(server.url, Timeouts())
            buffer = connection._sock  # noqa: SLF001
            connection._usock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001
            connection.close()
            assert buffer.closed

    def test_hung_up_it_leaves_no_socket_open(self, database: Engine) -> None:
        connection = new_connection(url_of(database))
        its_socket = connection._usock  # noqa: SLF001
        connection.hang_up()
        assert its_socket.fileno() == -1

    def test_ended_by_the_server(self, ours: PipelinedConnection, stock: pg8000.Connection) -> None:
        pid = outcome(ours, "SELECT pg_backend_pid()::text", [])
        stock.execute_unnamed("SELECT pg_terminate_backend($1::integer, 10000)", [pid])
        with pytest.raises((pg8000.Error, OSError)):
            ours.execute_pipelined("SELECT ''", [], prepared=True)


class TestMoreThanTheAnswer:
    """What nobody has asked for would be the answer to the next question."""

    def test_with_the_login(self) -> None:
        with (
            Scripted(LOGIN + NOTICE, DONE + READY) as server,
            pytest.raises(pg8000.InterfaceError, match="more than"),
        ):
            connect(server.url, Timeouts())

    @pytest.mark.parametrize("extra", [NOTICE, NOTICE[:7], DONE + READY])
    def test_with_an_answer(self, extra: bytes) -> None:
        with Scripted(LOGIN, DONE + READY + extra) as server:
            connection = connect(server.url, Timeouts())
            assert connection.is_quiet()
            until = time.monotonic() + 10
            assert connection.execute_pipelined("SELECT", [], prepared=True, until=until) == []
            assert not connection.is_quiet()
            connection.hang_up()

    @pytest.mark.parametrize("tls", [False, True], ids=["plain", "within TLS"])
    def test_later(self, ours: PipelinedConnection, tls: bool) -> None:
        here, there = tls_pair() if tls else socket.socketpair()
        real = ours._usock, ours._sock  # noqa: SLF001
        ours._usock, ours._sock = here, here.makefile("rwb")  # noqa: SLF001
        try:
            there.sendall(DONE + READY)
            outcome(ours, "SELECT 1", [])
            # To TLS 1.3, what the server says of later sessions is no answer.
            assert ours.is_quiet()
            there.sendall(NOTICE)
            assert not ours.is_quiet()
            there.sendall(DONE + READY)
            there.close()
            assert not ours.is_quiet()
        finally:
            ours._sock.close()  # noqa: SLF001
            here.close()
            there.close()
            ours._usock, ours._sock = real  # noqa: SLF001


def tls_pair() -> tuple[socket.socket, socket.socket]:
    authority = trustme.CA()
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(server)
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    authority.configure_trust(client)
    here, there = socket.socketpair()
    with ThreadPoolExecutor(1) as thread:
        accepted = thread.submit(server.wrap_socket, there, server_side=True)
        return client.wrap_socket(here, server_hostname="127.0.0.1"), accepted.result()


def test_a_peer_that_has_gone_is_not_waited_for(database: Engine) -> None:
    """Where nothing comes back of what is sent, not even that it has arrived."""
    with closing(connect(url_of(database), Timeouts(connect=1.5))) as connection:
        its_socket = connection._usock  # noqa: SLF001
        assert its_socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
