"""The one database connection of a Lambda environment, which answers one request at a time."""

import math
import ssl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import pg8000

from shared import errors
from shared.database.credentials import POSTGRES_PORT, password
from shared.database.driver import Parameter, PipelinedConnection, sqlstate
from shared.settings import Timeouts, settings

# https://www.postgresql.org/docs/current/errcodes-appendix.html
STILL_REFERENCED = {"23503", "23001"}  # by a foreign key, and since Postgres 18 by one that restricts
ALREADY_TAKEN = "23505"
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

# What we rely on, whatever database and role are set to; poolers let it through.
SESSION = {"client_encoding": "UTF8", "TimeZone": "UTC"}


class Connection:
    """A connection that is made when it is first needed, and anew after it was lost."""

    def __init__(self) -> None:
        self._driver: PipelinedConnection | None = None

    def open(self) -> None:
        """Connect, unless there is a connection that seems alive: from an idle one nothing is to be read."""
        if self._driver is not None and self._driver.is_readable():
            self.close()
        if self._driver is None:
            timeouts = Timeouts(
                settings.database_connect_timeout,
                settings.database_statement_timeout,
                settings.database_lock_timeout,
            )
            self._driver = connect(settings.database_url, timeouts, pooled=settings.database_pooled)

    def execute(self, sql: str, *parameters: Parameter, prepared: bool = True) -> str | None:
        """Execute a statement, which is a transaction of its own, and return the one text that it selects.

        Do not have it `prepared` when its best plan depends on the parameters.
        """
        assert self._driver is not None, "it is not open"  # noqa: S101
        prepared = prepared and not settings.database_pooled
        try:
            return self._driver.execute_pipelined(sql, parameters, prepared=prepared)
        except BaseException as error:
            # No other request may have one whose state nobody knows, or that leads to a replica.
            if not isinstance(error, pg8000.DatabaseError) or sqlstate(error) == READ_ONLY:
                self.close()
            raise

    def close(self) -> None:
        """End the connection, if there is one."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.hang_up()


CONNECTION = Connection()


def reading() -> AbstractContextManager[Connection]:
    """Read; raises DatabaseUnavailableError."""
    return _session(when_lost=errors.DatabaseUnavailableError)


def writing() -> AbstractContextManager[Connection]:
    """Make a change, as a whole by one statement.

    Raises DatabaseUnavailableError, OutcomeUnknownError, StillReferencedError or AlreadyTakenError.
    """
    return _session(when_lost=errors.OutcomeUnknownError)


@contextmanager
def _session(when_lost: type[errors.DatabaseUnavailableError]) -> Iterator[Connection]:
    lost = errors.DatabaseUnavailableError
    try:
        CONNECTION.open()
        lost = when_lost
        yield CONNECTION
    except (pg8000.Error, OSError) as error:
        raise _translated(error, lost) from error


def _translated(error: Exception, when_lost: type[errors.DatabaseUnavailableError]) -> Exception:
    """Return what a caller can be told of an error; what nobody has thought of is a bug."""
    if not isinstance(error, pg8000.DatabaseError):
        return when_lost()
    code = sqlstate(error)
    if code in OUTCOME_UNKNOWN:
        return when_lost()
    if code in STILL_REFERENCED:
        return errors.StillReferencedError()
    if code == ALREADY_TAKEN:
        return errors.AlreadyTakenError(error.args[0].get("n"))
    if code.startswith(UNAVAILABLE):
        return errors.DatabaseUnavailableError()
    return RuntimeError(f"unexpected SQLSTATE {code}")


def connect(database_url: str, timeouts: Timeouts, *, pooled: bool = False) -> PipelinedConnection:
    """Connect with the password of this moment, and when it is refused once more with a newer one."""
    url = urlsplit(database_url)
    # Rounded up, because to Postgres 0 milliseconds are no limit.
    limits = {
        "statement_timeout": str(math.ceil(timeouts.statement * 1000)),
        "lock_timeout": str(math.ceil(timeouts.lock * 1000)),
    }
    arguments = {
        "user": unquote(url.username or ""),
        "host": url.hostname,
        "port": url.port or POSTGRES_PORT,
        "database": unquote(url.path[1:]),
        "timeout": timeouts.connect,
        "ssl_context": tls(url),
        "startup_params": SESSION if pooled else SESSION | limits,
    }
    try:
        driver = PipelinedConnection(**arguments, password=password(url))
    except pg8000.DatabaseError as error:
        if settings.database_auth != "secret" or sqlstate(error) not in PASSWORD_REFUSED:
            raise
        driver = PipelinedConnection(**arguments, password=password(url, again=True))
    # A second more than the server has: it gives up first if it can, and then the connection is still good.
    driver.settimeout(timeouts.statement + 1)
    return driver


def tls(url: SplitResult) -> ssl.SSLContext | bool:
    """Verify certificate and host name, except on this machine, or as `sslmode` in the URL decides."""
    on_this_machine = url.hostname in {"127.0.0.1", "::1", "localhost"}
    default = "disable" if on_this_machine else "verify-full"
    if parse_qs(url.query).get("sslmode", [default])[-1] == "disable":
        return False
    return ssl.create_default_context(cafile=settings.database_ca_file)
