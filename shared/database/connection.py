"""The one database connection of a Lambda environment, which answers one request at a time."""

import math
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

import pg8000

from shared import errors
from shared.database.credentials import POSTGRES_PORT, password
from shared.database.driver import Parameter, PipelinedConnection, Statement, sqlstate
from shared.settings import REQUEST_SECONDS, SettingsError, Timeouts, settings

# https://www.postgresql.org/docs/current/errcodes-appendix.html
CONSTRAINT_VIOLATED = "23"
PASSWORD_REFUSED = {"28P01", "28000", "08P01"}  # by Postgres, RDS Proxy, PgBouncer
# A transaction is open, or the server has become a replica, which cannot even begin to write.
WRONG_SERVER = ("25", "0A")
UNAVAILABLE = (
    "08",  # connection exception
    *WRONG_SERVER,
    "40",  # deadlock, serialization failure
    "53",  # too many connections, out of memory, disk full
    "55P03",  # lock not available in time
    "57",  # shutdown, crash, starting up, statement cancelled by its timeout
)
DEADLOCK = "40P01"
OUTCOME_UNKNOWN = {"08007", "40003"}

OTHER_REVISION = {"42703", "42P01"}  # a column or a table that is not there

CONSTRAINT_ERRORS = {
    "23503": errors.StillReferencedError,
    "23001": errors.StillReferencedError,  # since Postgres 18, by a foreign key that restricts
    "23505": errors.AlreadyTakenError,
}

# What we rely on, whatever database and role are set to; poolers let it through.
SESSION = {
    "client_encoding": "UTF8",
    # As servers say it: a pooler would set what it does not find alike before each statement.
    "DateStyle": "ISO, MDY",
    "TimeZone": "UTC",
    "standard_conforming_strings": "on",
}

# During a rotation the database knows the new password a moment before the secret does.
ROTATION_SECONDS = 0.5


# With what was sent before it, but without BEGIN, one transaction, which is over in any case.
ROLLBACK: Statement = ("ROLLBACK", ())


class Connection:
    """A connection that is made when it is first needed, and anew after it was lost."""

    _driver: PipelinedConnection | None = None
    until = math.inf
    when_lost = errors.DatabaseUnavailableError
    may_repeat = is_warm = False
    was_victim = False
    preview: Statement | None = None
    # What the preview's own statement selects.
    foreseen = ""

    @property
    def is_preview(self) -> bool:
        """Whether the change is undone as soon as it is known what comes of it."""
        return self.preview is not None

    def open(self) -> PipelinedConnection:
        """Connect, unless there is a connection that seems alive; raises DatabaseUnavailableError."""
        if self._driver is not None and not self._driver.is_quiet():
            self.close()
        self.is_warm = self._driver is not None
        if self._driver is None:
            timeouts = Timeouts(
                settings.database_connect_timeout,
                settings.database_statement_timeout,
                settings.database_lock_timeout,
            )
            url, pooled = settings.database_url, settings.database_pooled
            try:
                self._driver = connect(url, timeouts, pooled=pooled, until=self.until)
            except SettingsError:
                raise
            except Exception as error:
                raise errors.DatabaseUnavailableError from error
            self._driver.autocommit = True
        return self._driver

    def execute(
        self, sql: str, *parameters: Parameter, prepared: bool = True, first: Sequence[Statement] = ()
    ) -> str | None:
        """Execute a statement, which is a transaction of its own, and return the one text that it selects.

        What comes `first` selects nothing, and locks for as long as the statement takes.
        Do not have it `prepared` when its best plan depends on the parameters.
        """
        driver = self._driver or self.open()
        named = prepared and not settings.database_pooled
        then = [self.preview, ROLLBACK] if self.preview else []
        try:
            texts = driver.execute_pipelined(
                sql, parameters, prepared=named, until=self.until, first=first, then=then
            )
            if then:
                self.foreseen = texts.pop()
            return texts[0] if texts else None
        except (pg8000.InterfaceError, OSError) as error:
            # A new one that says nothing is slow, and would only have more to do.
            is_slow = isinstance(error, TimeoutError) and not self.is_warm
            if not self.may_repeat or is_slow or time.monotonic() >= self.until:
                raise self.when_lost from error
        except pg8000.DatabaseError as error:
            driver.is_settled &= not sqlstate(error).startswith(WRONG_SERVER)
            # A victim has written nothing, and the other is through with it.
            if sqlstate(error) == DEADLOCK and not self.was_victim:
                self.was_victim = True
                return self.execute(sql, *parameters, prepared=prepared, first=first)
            told = self.when_lost() if sqlstate(error) in OUTCOME_UNKNOWN else _translated(error)
            # What is a bug is told without the error's own message, which may quote a value.
            raise told from error if isinstance(told, errors.DatabaseUnavailableError) else None
        finally:
            # Whatever has happened, the next statement gets one that is known to be good.
            if not driver.is_settled:
                self.close()
        # It may have been dead for long.
        self.may_repeat = False
        return self.execute(sql, *parameters, prepared=prepared, first=first)

    def close(self) -> None:
        """End the connection, if there is one."""
        driver, self._driver = self._driver, None
        if driver is not None:
            driver.hang_up()


CONNECTION = Connection()


def reading(until: float | None = None) -> AbstractContextManager[Connection]:
    """Read, by the time that a request has begun with; raises DatabaseUnavailableError."""
    return _session(errors.DatabaseUnavailableError, until)


def writing(
    preview: Statement | None = None, until: float | None = None
) -> AbstractContextManager[Connection]:
    """Make a change, as a whole by one statement; with a `preview` undo it, after what that selects.

    Raises DatabaseUnavailableError, OutcomeUnknownError or ConstraintViolatedError.
    """
    lost = errors.DatabaseUnavailableError if preview else errors.OutcomeUnknownError
    return _session(lost, until, preview)


@contextmanager
def _session(
    when_lost: type[errors.DatabaseUnavailableError],
    until: float | None,
    preview: Statement | None = None,
) -> Iterator[Connection]:
    CONNECTION.until = until or time.monotonic() + REQUEST_SECONDS
    CONNECTION.was_victim, CONNECTION.preview, CONNECTION.foreseen = False, preview, ""
    CONNECTION.when_lost = when_lost
    CONNECTION.may_repeat = when_lost is not errors.OutcomeUnknownError
    CONNECTION.open()
    yield CONNECTION


def _translated(error: pg8000.DatabaseError) -> Exception:
    """Return what a caller can be told of an error; what nobody has thought of is a bug."""
    code, fields = sqlstate(error), error.args[0]
    if code.startswith(UNAVAILABLE):
        return errors.DatabaseUnavailableError()
    if code.startswith(CONSTRAINT_VIOLATED):
        kind = CONSTRAINT_ERRORS.get(code, errors.ConstraintViolatedError)
        return kind(code, fields.get("t"), fields.get("n"))
    # Of the SQL or a privilege, which is told without quoting a value.
    message = fields.get("M") if code.startswith("42") else ""
    hint = ": the database is at another revision than the code, migrate it" if code in OTHER_REVISION else ""
    return RuntimeError(f"unexpected SQLSTATE {code} {message}{hint}")


def connect(
    database_url: str, timeouts: Timeouts, *, pooled: bool = False, until: float = math.inf
) -> PipelinedConnection:
    """Connect with the password of this moment, by the time `until` of the monotonic clock."""
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
    # Enough for an address of the host that is silent and another that is not.
    until = min(until, time.monotonic() + 2 * timeouts.connect)

    def log_in(attempts: list[PipelinedConnection]) -> PipelinedConnection:
        pause = 0.0
        while True:
            try:
                return PipelinedConnection(
                    attempts=attempts, **arguments, password=password(url, again=len(attempts) > 0)
                )
            except pg8000.Error as error:
                refused = sqlstate(error) in PASSWORD_REFUSED and settings.database_auth == "secret"
                if not refused or time.monotonic() + pause > until - 2 * ROTATION_SECONDS:
                    raise
            time.sleep(pause)
            pause = 2 * pause or ROTATION_SECONDS

    driver = _in_time(log_in, until)
    # A second more than the server has: it gives up first if it can, and then the connection is still good.
    driver.patience = timeouts.statement + 1
    return driver


def _in_time(
    log_in: Callable[[list[PipelinedConnection]], PipelinedConnection], until: float
) -> PipelinedConnection:
    """Log in in a thread, because some of what that waits for, such as a name look-up, has no limit."""
    attempts: list[PipelinedConnection] = []
    made: list[PipelinedConnection | BaseException] = []

    is_wanted = True

    def run() -> None:
        try:
            made.append(log_in(attempts))
        except BaseException as error:
            made.append(error)
        # There is none while the password is still waited for.
        for attempt in [] if is_wanted else attempts[-1:]:
            attempt.hang_up()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        thread.join(max(0, until - time.monotonic()))
    finally:
        outcome = made[0] if made else TimeoutError("Postgres is not reached in time.")
        is_wanted = isinstance(outcome, PipelinedConnection)
        # The thread ends with the socket that it waits for.
        for attempt in [] if is_wanted else attempts:
            attempt.hang_up()
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def tls(url: SplitResult) -> ssl.SSLContext | bool:
    """Verify certificate and host name, except on this machine, or as `sslmode` in the URL decides."""
    on_this_machine = url.hostname in {"127.0.0.1", "::1", "localhost"}
    default = "disable" if on_this_machine else "verify-full"
    if parse_qs(url.query).get("sslmode", [default])[-1] == "disable":
        return False
    return ssl.create_default_context(cafile=settings.database_ca_file)
