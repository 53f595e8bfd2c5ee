"""The one database connection of a Lambda environment, and its transactions."""

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import pg8000
from sqlalchemy import URL, Connection, Engine, ExceptionContext, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError

from shared.errors import DatabaseUnavailableError, StillReferencedError
from shared.settings import settings

# Well under the functions' own timeout, so that a caller is told instead of cut off.
SOCKET_TIMEOUT_SECONDS = 5

# https://www.postgresql.org/docs/current/errcodes-appendix.html
FOREIGN_KEY_VIOLATION = "23503"
UNAVAILABLE = (
    "08",  # connection exception
    "40",  # deadlock, serialization failure
    "53",  # too many connections, out of memory, disk full
    "55P03",  # lock not available in time
    "57",  # shutdown, crash, starting up, statement cancelled by its timeout
)

# The pool logs a traceback for each lost connection; the caller's 503 is logged already.
logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)


@contextmanager
def transaction() -> Iterator[Connection]:
    """Commit when the block ends, roll back when it raises.

    Raises DatabaseUnavailableError or StillReferencedError for what the database refused for such a reason.
    """
    try:
        with engine().begin() as connection:
            yield connection
    except (InterfaceError, OSError) as error:
        raise DatabaseUnavailableError from error
    except DBAPIError as error:
        code = sqlstate(error)
        if code == FOREIGN_KEY_VIOLATION:
            raise StillReferencedError from error
        if code.startswith(UNAVAILABLE):
            raise DatabaseUnavailableError from error
        raise


def sqlstate(error: DBAPIError) -> str:
    """Postgres' five characters for the kind of error, empty when it did not come from the server."""
    fields = error.orig.args[0] if error.orig and error.orig.args else None
    return str(fields.get("C", "")) if isinstance(fields, dict) else ""


@cache
def engine() -> Engine:
    """Make the engine of this process when it is first needed."""
    return connect_lazily(settings.database_url, timeout=SOCKET_TIMEOUT_SECONDS)


def connect_lazily(database_url: str, *, timeout: float) -> Engine:
    """Make an engine of one connection, because a Lambda environment answers one request at a time.

    `timeout` is how many seconds the server may take to accept the connection, and for each answer.
    """
    url = make_url(database_url)
    engine = create_engine(
        URL.create("postgresql+pg8000", url.username, url.password, url.host, url.port or 5432, url.database),
        connect_args={"timeout": timeout, "ssl_context": tls(url)},
        pool_size=1,
        max_overflow=0,
        hide_parameters=True,
    )
    event.listen(engine, "handle_error", _discard_broken_connection)
    return engine


def tls(url: URL) -> ssl.SSLContext | bool:
    """Verify certificate and host name, but use no TLS on this machine or with `sslmode=disable`."""
    if url.host in {"127.0.0.1", "::1", "localhost"} or url.query.get("sslmode") == "disable":
        return False
    return ssl.create_default_context()


def _discard_broken_connection(context: ExceptionContext) -> None:
    """Let no other request have a connection whose protocol state is unknown."""
    if not isinstance(context.original_exception, pg8000.Error):
        context.is_disconnect = True
