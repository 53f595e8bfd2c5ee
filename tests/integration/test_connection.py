"""What becomes of the functions' connection between requests."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

import pg8000
import pytest
from sqlalchemy import Engine, text

from shared.database import connection as database_connection
from shared.database import driver, reading
from tests.client import Answer, request
from tests.integration.at_once import live_through_a_bundle
from tests.integration.conftest import assert_unavailable, functions_with, url_of
from tests.integration.test_waiting_writes import REPRICE, after_waiting_for
from tests.postgres import execute, recorded
from tests.waiting import until


def test_lost_between_requests(database: Engine, committed: dict[str, Any]) -> None:
    with database.begin() as other:
        others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ended = other.execute(text(f"SELECT pg_terminate_backend(pid, 20000) {others}"))
        assert True in ended.scalars().all()
    assert request("GET", f"/{committed['id']}").bundle == committed


def test_a_limit_is_never_none(committed: dict[str, Any]) -> None:  # noqa: ARG001 - the functions' settings
    """To Postgres, 0 is no limit."""
    with functions_with(DATABASE_LOCK_TIMEOUT="0.0001"), reading() as connection:
        assert connection.execute("SELECT current_setting('lock_timeout')") == "1ms"


def test_a_password_that_comes_too_late_ends_quietly() -> None:
    is_over, before = threading.Event(), threading.active_count()

    def log_in(_: list[driver.PipelinedConnection]) -> driver.PipelinedConnection:
        is_over.wait()
        raise OSError

    with pytest.raises(TimeoutError):
        database_connection._in_time(log_in, until=0)  # noqa: SLF001 - what it waits for has other limits
    is_over.set()
    until(lambda: threading.active_count() == before)


def patch(bundle: dict[str, Any], **fields: Any) -> Answer:
    return request("PATCH", f"/{bundle['id']}", json_body=fields)


class TestUnexpectedErrors:
    """A bug, of which the log tells all but what the row had."""

    @pytest.fixture(autouse=True)
    def altered(self, database: Engine, committed: dict[str, Any]) -> Iterator[None]:
        url = url_of(database)
        execute(
            url,
            "ALTER TABLE token_bundle ADD CONSTRAINT no_secret CHECK (name <> 'secret name')",
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE 'it was %', OLD.name USING ERRCODE = NEW.description; END $$",
            "CREATE TRIGGER tell BEFORE UPDATE ON token_bundle FOR EACH ROW"
            " WHEN (NEW.description <> '') EXECUTE FUNCTION tell()",
            recorded("UPDATE token_bundle SET price = 7654.32, version = 2", "updated"),
        )
        yield
        execute(url, "ALTER TABLE token_bundle DROP CONSTRAINT no_secret", "DROP FUNCTION tell CASCADE")

    def test_violated_check(self, committed: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
        assert patch(committed, name="secret name").status == 500
        for told in ("23514", "no_secret", "table token_bundle"):
            assert told in caplog.text
        for secret in ("secret name", "7654.32"):
            assert secret not in caplog.text

    @pytest.mark.parametrize("sqlstate", ["22023", "P0001", "XX000"])
    def test_message(
        self, sqlstate: str, committed: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        assert patch(committed, name="secret name 1").status == 200
        assert patch(committed, description=sqlstate).status == 500
        assert sqlstate in caplog.text
        assert "secret name" not in caplog.text

    def test_what_does_not_fit_the_model(
        self, database: Engine, committed: dict[str, Any], caplog: pytest.LogCaptureFixture
    ) -> None:
        statement = """UPDATE token_bundle_change SET bundle = '{"name": "secret name"}' WHERE version = 2"""
        execute(url_of(database), "SET session_replication_role = replica", statement)
        assert request("GET", f"/{committed['id']}/history").status == 500
        assert "does not fit the model" in caplog.text
        assert "secret name" not in caplog.text

    def test_wrong_sql(self) -> None:
        with reading() as connection, pytest.raises(RuntimeError, match=r"42P01 .*nothing"):
            connection.execute("SELECT FROM nothing")


class TestTransactionThatIsLeftOpen:
    @pytest.mark.parametrize("before", [["BEGIN"], ["BEGIN", "SELEKT"]], ids=["open", "failed"])
    def test_is_undone(self, before: list[str], committed: dict[str, Any]) -> None:
        """What was done in it is not committed, and an answer in it may be of yesterday."""
        asks: list[Callable[[], Answer]] = [lambda: patch(committed, name="lost"), lambda: request("GET")]
        for ask in asks:
            left = database_connection.CONNECTION._driver  # noqa: SLF001
            assert left
            left.autocommit = False
            for statement in before:
                with suppress(pg8000.DatabaseError):
                    left.execute_simple(statement)
            left.autocommit = True
            assert_unavailable(ask())
            assert request("GET", f"/{committed['id']}").bundle == committed
        assert patch(committed, name="kept").bundle["version"] == 2


@contextmanager
def transactions_by_default(url: str, altered: str) -> Iterator[None]:
    """Set what makes each write fail, for a database or a role."""
    alter = f"ALTER {altered}"
    execute(
        url,
        f"{alter} SET default_transaction_read_only = on",
        f"{alter} SET default_transaction_isolation = 'serializable'",
    )
    try:
        yield
    finally:
        for name in ("read_only", "isolation"):
            execute(url, f"BEGIN READ WRITE; {alter} RESET default_transaction_{name}; COMMIT")


@pytest.mark.parametrize("altered", ["DATABASE {database}", "ROLE {user}"])
def test_what_transactions_are_by_default_matters_not(
    altered: str, database: Engine, committed: dict[str, Any]
) -> None:
    alter = altered.format(database=database.url.database, user=database.url.username)
    with transactions_by_default(url_of(database), alter), functions_with():
        live_through_a_bundle("bundle")
    assert patch(committed, name="as before").status == 200


@pytest.mark.parametrize("isolation", ["serializable", "repeatable read"])
def test_a_write_that_waited_is_none_of_the_snapshot_before(
    isolation: str, database: Engine, committed: dict[str, Any]
) -> None:
    alter = f"ALTER DATABASE {database.url.database}"
    execute(url_of(database), f"{alter} SET default_transaction_isolation = '{isolation}'")
    try:
        with functions_with():
            path = f"/{committed['id']}"
            answer = after_waiting_for(
                REPRICE, database, lambda: request("PATCH", path, json_body={"name": "later"})
            )
    finally:
        execute(url_of(database), f"{alter} RESET default_transaction_isolation")
    assert answer.status == 200, answer.text
    assert (answer.bundle["price"], answer.bundle["version"]) == ("7.00", 3)


class TestPoisonedConnection:
    def test_whatever_interrupts_an_answer(self, committed: dict[str, Any]) -> None:
        """An answer that is still to come must not be the next request's."""

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(KeyboardInterrupt), reading() as connection:
                connection.execute("SELECT 'of the first' FROM pg_sleep(1)")
        finally:
            signal.signal(signal.SIGALRM, before)
        with reading() as connection:
            assert connection.execute("SELECT 'of the second'") == "of the second"

    @pytest.mark.parametrize("warm", [True, False])
    def test_whatever_fails_wherever(
        self, committed: dict[str, Any], monkeypatch: pytest.MonkeyPatch, warm: bool
    ) -> None:
        """At each line that the connection's own code executes: the next answers are right all the same."""
        made: list[driver.PipelinedConnection] = []

        class Kept(driver.PipelinedConnection):
            def __init__(self, **arguments: Any) -> None:
                super().__init__(**arguments)
                made.append(self)

        database_connection.CONNECTION.close()
        monkeypatch.setattr(database_connection, "PipelinedConnection", Kept)
        files = {database_connection.__file__, driver.__file__}
        lines = 0

        def tracing(fails_at: int) -> Any:
            left = fails_at

            def trace(frame: FrameType, event: str, _: Any) -> Any:
                nonlocal left
                if frame.f_code.co_filename not in files:
                    return None
                if event == "line":
                    left -= 1
                    if left == 0:
                        raise MemoryError
                return trace

            return trace

        path, answer = f"/{committed['id']}", None
        while answer is None or answer.status in {500, 503}:
            lines += 1
            if not warm:
                database_connection.CONNECTION.close()
            before = sys.gettrace()
            sys.settrace(tracing(lines))
            try:
                answer = patch(committed, sort_order=lines)
            finally:
                sys.settrace(before)
            # What was sent may still be done, by now or later.
            bundle = request("GET", path).bundle
            changed = {name: bundle[name] for name in ("sort_order", "version", "updated_at")}
            assert bundle == committed | changed
        assert answer.bundle["sort_order"] == lines
        found = request("GET", f"{path}/history", query={"per_page": "100"}).json["items"]
        assert [entry["version"] for entry in found] == list(range(answer.bundle["version"], 0, -1))
        assert lines > 30
        # What fails on the way to hanging up leaves that to the garbage collector.
        for connection in made:
            connection.hang_up()
