"""The one database connection of a Lambda environment."""

import logging
import os
import select
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cache, partial
from typing import Any

import pg8000
from sqlalchemy import URL, Engine, Executable, create_engine, event, make_url
from sqlalchemy import Connection as SQLAlchemyConnection
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.postgresql.pg8000 import PGDialect_pg8000
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from shared.database.credentials import POSTGRES_PORT, password
from shared.database.one_flush import OneFlushConnection
from shared.errors import DatabaseUnavailableError, OutcomeUnknownError, StillReferencedError
from shared.settings import Timeouts, settings

# https://www.postgresql.org/docs/current/errcodes-appendix.html
STILL_REFERENCED = {"23503", "23001"}  # by a foreign key, and since Postgres 18 by one that restricts
PASSWORD_REFUSED = {"28P01", "28000"}
READ_ONLY = "25006"  # by now the server is a replica
UNAVAILABLE = (
    "08",  # connection exception
    READ_ONLY,
    "40",  # deadlock, serialization failure
    "53",  # too many connections, out of memory, disk full
    "55P03",  # lock not available in time
    "57",  # shutdown, crash, starting up, statement cancelled by its timeout
)
OUTCOME_UNKNOWN = {"08007", "40003"}

DRIVER = "incurious_pg8000"

# The pool logs a traceback for each lost connection; the caller's 503 is logged already.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


class IncuriousDialect(PGDialect_pg8000):
    """SQLAlchemy's dialect, which asks a new connection nothing: what it would learn matters to DDL alone."""

    driver = DRIVER
    supports_statement_cache = True

    def initialize(self, connection: SQLAlchemyConnection) -> None:
        """Spare the four round trips."""


registry.register(f"postgresql.{DRIVER}", __name__, IncuriousDialect.__name__)


# With Postgres' own placeholders, which the driver need not translate.
WRITTEN_OUT = PGDialect_pg8000(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]


class Statement:
    """A statement that SQLAlchemy has written once, to be executed many times without it."""

    def __init__(self, statement: Executable, *, kept: bool = True) -> None:
        """Compile it; `kept` on the server, unless its best plan depends on the values."""
        compiled: Any = statement.compile(dialect=WRITTEN_OUT)  # type: ignore[attr-defined]
        self.sql = str(compiled)
        self.kept = kept
        self._names: tuple[str, ...] = tuple(compiled.positiontup or ())
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def values(self, parameters: Mapping[str, Any]) -> list[Any]:
        """Put parameters, given by name, in the order of the placeholders."""
        given = {**self._constants, **parameters}
        return [given[name] for name in self._names]


class Connection:
    """A connection that one request has for itself, on which each statement is a transaction of its own."""

    def __init__(self, pooled: PoolProxiedConnection) -> None:
        """Use a connection of the pool."""
        self._pooled = pooled

    def execute(self, statement: Statement, parameters: Mapping[str, Any]) -> list[list[Any]]:
        """Execute a statement and return its rows, in one network round trip."""
        driver: Any = self._pooled.dbapi_connection
        keeps = statement.kept and isinstance(driver, OneFlushConnection)
        execute = driver.execute_kept if keeps else driver.execute_unnamed
        try:
            answer = execute(statement.sql, statement.values(parameters))
        except BaseException as error:
            # No other request may have one whose state nobody knows, or that leads to a replica.
            if not isinstance(error, pg8000.DatabaseError) or sqlstate(error) == READ_ONLY:
                self._pooled.invalidate(error)
            raise
        rows: list[list[Any]] = answer.rows or []
        return rows


def reading() -> AbstractContextManager[Connection]:
    """Read; raises DatabaseUnavailableError."""
    return _connection(when_lost=DatabaseUnavailableError)


def writing() -> AbstractContextManager[Connection]:
    """Make a change, as a whole by one statement.

    Raises DatabaseUnavailableError, OutcomeUnknownError or StillReferencedError for what went wrong below.
    """
    return _connection(when_lost=OutcomeUnknownError)


@contextmanager
def _connection(when_lost: type[DatabaseUnavailableError]) -> Iterator[Connection]:
    try:
        pooled = engine().raw_connection()
    except (pg8000.Error, OSError) as error:
        raise _translated(error, DatabaseUnavailableError) from error
    try:
        yield Connection(pooled)
    except (pg8000.Error, OSError) as error:
        raise _translated(error, when_lost) from error
    finally:
        pooled.close()


def _translated(error: Exception, when_lost: type[DatabaseUnavailableError]) -> Exception:
    """Return what a caller can be told of an error; what nobody has thought of is a bug."""
    if not isinstance(error, pg8000.DatabaseError):
        return when_lost()
    code = sqlstate(error)
    if code in OUTCOME_UNKNOWN:
        return when_lost()
    if code in STILL_REFERENCED:
        return StillReferencedError()
    if code.startswith(UNAVAILABLE):
        return DatabaseUnavailableError()
    return RuntimeError(f"unexpected SQLSTATE {code}")


def sqlstate(error: pg8000.DatabaseError) -> str:
    """Postgres' five characters for the kind of error, empty when it did not come from the server."""
    fields = error.args[0] if error.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


@cache
def engine() -> Engine:
    """Make the engine of this process when it is first needed."""
    timeouts = Timeouts(
        settings.database_connect_timeout, settings.database_statement_timeout, settings.database_lock_timeout
    )
    return make_engine(
        settings.database_url,
        timeouts,
        pooled=settings.database_pooled,
        one_flush=settings.database_one_flush,
    )


def connect_at_init() -> None:
    """Connect while Lambda sets up an environment, if that is not for a snapshot."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in {"on-demand", "provisioned-concurrency"}:
        # What is wrong will be wrong in the first request, too, which can say so.
        with suppress(Exception):
            engine().raw_connection().close()


def make_engine(
    database_url: str, timeouts: Timeouts, *, pooled: bool = False, one_flush: bool = False
) -> Engine:
    """Make an engine of one connection, because a Lambda environment answers one request at a time.

    With `one_flush` each statement takes one network round trip.
    """
    url = make_url(database_url)
    engine = create_engine(
        url.set(
            drivername=f"postgresql+{DRIVER if one_flush else 'pg8000'}",
            port=url.port or POSTGRES_PORT,
            query={},
        ),
        connect_args={
            "timeout": timeouts.connect,
            "ssl_context": tls(url),
            "startup_params": {} if pooled else _limits(timeouts),
        },
        pool_size=1,
        max_overflow=0,
        # With one flush there is nothing to roll back.
        pool_reset_on_return=None if one_flush else "rollback",
        hide_parameters=True,
    )
    connect = partial(OneFlushConnection, keeps_statements=not pooled) if one_flush else pg8000.connect
    event.listen(engine, "do_connect", partial(_connect_with_password, url, connect))
    event.listen(engine, "connect", partial(_limit_answers, timeouts))
    event.listen(engine, "checkout", _refuse_dead_connection)
    event.listen(engine, "invalidate", _hang_up)
    return engine


def _limits(timeouts: Timeouts) -> dict[str, str]:
    return {
        "statement_timeout": f"{timeouts.statement * 1000:.0f}",
        "lock_timeout": f"{timeouts.lock * 1000:.0f}",
    }


def tls(url: URL) -> ssl.SSLContext | bool:
    """Verify certificate and host name, except on this machine, or as `sslmode` in the URL decides."""
    on_this_machine = url.host in {"127.0.0.1", "::1", "localhost"}
    if url.query.get("sslmode", "disable" if on_this_machine else "verify-full") == "disable":
        return False
    return ssl.create_default_context(cafile=settings.database_ca_file)


def _connect_with_password(
    url: URL,
    connect: Callable[..., Any],
    _dialect: object,
    _record: object,
    _arguments: object,
    parameters: Any,
) -> Any:
    """Connect with the password of this moment, and when it is refused once more with a newer one."""
    try:
        return connect(**parameters | {"password": password(url)})
    except pg8000.DatabaseError as error:
        if settings.database_auth != "secret" or error.args[0].get("C") not in PASSWORD_REFUSED:
            raise
    return connect(**parameters | {"password": password(url, again=True)})


def _limit_answers(timeouts: Timeouts, connection: Any, *_: object) -> None:
    # A second more than the server has: it gives up first if it can, and then the connection is still good.
    connection._usock.settimeout(timeouts.statement + 1)  # noqa: SLF001 - pg8000 has no public name for it


def _refuse_dead_connection(connection: Any, record: ConnectionPoolEntry, *_: object) -> None:
    """Have the pool reconnect without asking the server: nothing is to be read from an idle connection."""
    # One that dies while it is new is an error like any other: the pool has its own for two in a row.
    is_new = not record.info.get("was_used")
    record.info["was_used"] = True
    if not is_new and any(select.select([connection._usock], [], [], 0)):  # noqa: SLF001 - as above
        raise DisconnectionError


def _hang_up(connection: Any, *_: object) -> None:
    """End a discarded connection at once, so that the server gives up its transaction and its locks."""
    # pg8000's own close leaves the socket open while anything refers to its buffer, such as a traceback.
    with suppress(OSError):
        connection._usock.shutdown(socket.SHUT_RDWR)  # noqa: SLF001 - as above
    with suppress(OSError):
        connection._sock.close()  # noqa: SLF001 - as above
