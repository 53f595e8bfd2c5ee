"""A database that cannot be reached, or is too slow."""

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pg8000.native
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, make_url

from dev.database.postgres import postgres
from shared.database import connection as database_connection
from shared.database.driver import sqlstate
from shared.errors import DatabaseUnavailableError
from shared.settings import REQUEST_SECONDS
from tests.client import Answer, request
from tests.conftest import ROOT, use_settings
from tests.integration.at_once import VALID
from tests.integration.conftest import HASTY, assert_unavailable, functions_with, url_of
from tests.integration.test_credentials import AWS, SECRET
from tests.integration.test_driver import LOGIN, NOTICE
from tests.postgres import connected, execute
from tests.proxy import Fault, Proxy, Scripted
from tests.waiting import until

# The functions' own limit is 10 seconds.
BOUND_SECONDS = 8
FULL = os.environ.get("TEST_SIZE") == "full"
LOCK_THE_BUNDLES = "SELECT FROM token_bundle FOR UPDATE"
LOCK_THE_TABLE = "LOCK TABLE token_bundle IN ACCESS EXCLUSIVE MODE"

# pg8000 leaves the socket of a connection that it could not make to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("nothing_left"),
]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the server tells the functions when something goes wrong."""
    told: list[Exception] = []
    seen: list[str] = []

    def note(error: Exception) -> str:
        code = sqlstate(error)
        if error not in told:
            told.append(error)
            seen.append(code)
        return code

    monkeypatch.setattr(database_connection, "sqlstate", note)
    return seen


def refused(ask: Callable[[], Answer], detail: str = DatabaseUnavailableError.detail) -> None:
    began = time.monotonic()
    answer = ask()
    assert time.monotonic() - began < BOUND_SECONDS
    assert_unavailable(answer, detail)


def get(bundle: dict[str, Any]) -> Answer:
    return request("GET", f"/{bundle['id']}")


def patch(bundle: dict[str, Any], **fields: Any) -> Answer:
    return request("PATCH", f"/{bundle['id']}", json_body=fields)


def create(key: str, **fields: Any) -> Answer:
    return request("POST", json_body=VALID | fields, headers={"Idempotency-Key": key})


@contextmanager
def while_locked(url: str, statement: str = LOCK_THE_BUNDLES) -> Iterator[None]:
    with connected(url) as other:
        other.run("BEGIN")
        other.run(statement)
        yield
        other.run("ROLLBACK")


@contextmanager
def during(url: str, *do: str, undo: list[str]) -> Iterator[None]:
    execute(url, *do)
    try:
        yield
    finally:
        execute(url, *undo)


class TestCannotConnect:
    def test_nothing_listens(self, url: str, committed: dict[str, Any]) -> None:
        with Proxy(url, listening=False) as proxy, functions_with(**HASTY, DATABASE_URL=proxy.url):
            refused(lambda: get(committed))
            refused(lambda: patch(committed, name="refused"))
            proxy.listen()
            assert get(committed).bundle == committed

    @pytest.mark.parametrize("sqlstate", ["57P03", "57P01", "53300", "08006"])
    def test_refused_by_the_server(
        self, sqlstate: str, proxy: Proxy, committed: dict[str, Any], seen: list[str]
    ) -> None:
        """As by one that starts up or recovers; what the proxy answers in its place is what it would say."""
        proxy.on_client(b"user\0", Fault.DROP, sqlstate)
        refused(lambda: get(committed))
        refused(lambda: patch(committed, name="refused"))
        assert seen == [sqlstate, sqlstate]
        proxy.repair()
        assert get(committed).bundle == committed

    def test_dropped_as_soon_as_connected(self, proxy: Proxy, committed: dict[str, Any]) -> None:
        assert get(committed).status == 200
        proxy.on_server(b"Z\0\0\0\x05I", Fault.DELIVER_AND_DROP)
        database_connection.CONNECTION.close()
        for _ in range(20):
            refused(lambda: get(committed))
        proxy.repair()
        assert get(committed).bundle == committed

    @pytest.mark.parametrize("listens", [True, False], ids=["never answers", "is away"])
    def test_secrets_manager(self, listens: bool, committed: dict[str, Any]) -> None:
        secret = {"DATABASE_AUTH": "secret", "DATABASE_SECRET": SECRET}
        with socket.create_server(("127.0.0.1", 0)) as server:
            endpoint = f"http://127.0.0.1:{server.getsockname()[1]}"
            if not listens:
                server.close()
            with functions_with(**HASTY, **secret, **AWS, AWS_ENDPOINT_URL=endpoint):
                refused(lambda: get(committed))
                refused(lambda: patch(committed, name="refused"))

    def test_answers_nothing(self, proxy: Proxy, committed: dict[str, Any]) -> None:
        proxy.on_client(b"", Fault.MUTE)
        refused(lambda: get(committed))
        refused(lambda: patch(committed, name="refused"))
        proxy.repair()
        assert get(committed).bundle == committed


class TestDeadline:
    """Whatever a request waits for, and however often: all of it has the one deadline."""

    @pytest.fixture(autouse=True, params=[0.5, REQUEST_SECONDS] if FULL else [0.5])
    def seconds(
        self, request: pytest.FixtureRequest, committed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> Iterator[float]:
        monkeypatch.setattr(database_connection, "REQUEST_SECONDS", request.param)
        with functions_with():
            yield request.param

    def test_silent_resolver(
        self, seconds: float, committed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        silent = threading.Event()
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: silent.wait() and [])
        self.refused_in(seconds, committed)
        silent.set()

    def test_six_silent_addresses(
        self, seconds: float, committed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with full_listener() as address:
            found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address)] * 6
            monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
            self.refused_in(seconds, committed)

    def test_tls_that_stalls(self, seconds: float, committed: dict[str, Any]) -> None:
        with Scripted(b"S") as server, functions_with(DATABASE_URL=f"{server.url}?sslmode=verify-full"):
            self.refused_in(seconds, committed)

    @pytest.mark.parametrize("logged_in", [True, False])
    def test_server_that_trickles(self, seconds: float, logged_in: bool, committed: dict[str, Any]) -> None:
        script = [LOGIN, NOTICE * 20] if logged_in else [NOTICE * 20]
        with Scripted(*script, pause=0.02) as server, functions_with(DATABASE_URL=server.url):
            self.refused_in(seconds, committed)
            # Nor does the thread that logs in wait any longer.
            until(lambda: not any("(run)" in thread.name for thread in threading.enumerate()))

    def test_by_default(self, committed: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(database_connection, "REQUEST_SECONDS", REQUEST_SECONDS)
        with Scripted(LOGIN, NOTICE * 20, pause=0.05) as server, functions_with(DATABASE_URL=server.url):
            refused(lambda: get(committed))

    def refused_in(self, seconds: float, bundle: dict[str, Any]) -> None:
        asks: list[Callable[[], Answer]] = [lambda: get(bundle), lambda: patch(bundle, name="refused")]
        for ask in asks:
            database_connection.CONNECTION.close()
            began = time.monotonic()
            assert ask().status == 503
            assert time.monotonic() - began < seconds + 0.5


@contextmanager
def full_listener() -> Iterator[Any]:
    """An address whose server takes no connection for now, which looks like one where nobody answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener, ExitStack() as waiting:
        for _ in range(4):
            client = waiting.enter_context(socket.socket())
            client.settimeout(0)
            client.connect_ex(listener.getsockname())
        yield listener.getsockname()


class TestTooManyConnections:
    @pytest.fixture
    def role(self, url: str) -> Iterator[str]:
        """Somebody for whom limits count, which superusers may exceed."""
        grant = "GRANT ALL ON ALL TABLES IN SCHEMA public TO limited"
        drop = ["DROP OWNED BY limited", "DROP ROLE limited"]
        with during(url, "CREATE ROLE limited LOGIN", grant, undo=drop):
            yield "limited"

    @pytest.mark.parametrize("limited", ["ROLE limited", "DATABASE {database}"])
    def test_of_role_or_database(
        self, limited: str, role: str, database: Engine, committed: dict[str, Any], seen: list[str]
    ) -> None:
        limit = f"ALTER {limited.format(database=database.url.database)} CONNECTION LIMIT"
        with functions_with(**HASTY, DATABASE_URL=url_of(database, username=role)):
            with during(url_of(database), f"{limit} 0", undo=[f"{limit} -1"]):
                refused(lambda: get(committed))
                assert seen == ["53300"]
            assert get(committed).bundle == committed

    def test_of_the_server(self, server_url: str, committed: dict[str, Any], seen: list[str]) -> None:
        database_connection.CONNECTION.close()
        count = "SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'"
        with connected(server_url) as watcher:
            before = watcher.run(count)
            with ExitStack() as others:
                with pytest.raises(pg8000.DatabaseError, match="53300"):
                    [others.enter_context(connected(server_url)) for _ in range(200)]
                refused(lambda: get(committed))
                refused(lambda: patch(committed, name="refused"))
                assert seen == ["53300", "53300"]
            until(lambda: watcher.run(count) <= before)
            assert get(committed).bundle == committed


class TestTooSlow:
    def test_statement(self, url: str, committed: dict[str, Any], seen: list[str]) -> None:
        slow = during(
            url,
            "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql"
            " AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'",
            "CREATE TRIGGER doze BEFORE UPDATE ON token_bundle FOR EACH ROW"
            " WHEN (NEW.name = 'slow') EXECUTE FUNCTION doze()",
            undo=["DROP FUNCTION doze CASCADE"],
        )
        with slow, functions_with(**HASTY):
            refused(lambda: patch(committed, name="slow"))
            assert seen == ["57014"]
            assert get(committed).bundle == committed
            assert patch(committed, name="quick").bundle["version"] == 2

    def test_read(self, url: str, committed: dict[str, Any], seen: list[str]) -> None:
        with functions_with(**HASTY | {"DATABASE_LOCK_TIMEOUT": "60"}):
            with while_locked(url, LOCK_THE_TABLE):
                refused(lambda: get(committed))
                refused(lambda: request("GET"))
            assert seen == ["57014", "57014"]
            assert get(committed).bundle == committed

    def test_lock(self, url: str, committed: dict[str, Any], seen: list[str]) -> None:
        with functions_with(**HASTY | {"DATABASE_STATEMENT_TIMEOUT": "5"}):
            with while_locked(url):
                refused(lambda: patch(committed, name="refused"))
                refused(lambda: request("POST", f"/{committed['id']}/deactivate"))
                refused(lambda: request("DELETE", f"/{committed['id']}"))
            assert seen == ["55P03"] * 3
            assert get(committed).bundle == committed
            assert patch(committed, name="quick").bundle["version"] == 2

    def test_idempotency_key_in_use(self, url: str, committed: dict[str, Any], seen: list[str]) -> None:
        assert create("key-0").status == 201
        claim = (
            "INSERT INTO token_bundle_idempotency_key (caller, key)"
            " SELECT caller, 'key-1' FROM token_bundle_idempotency_key"
        )
        with functions_with(**HASTY | {"DATABASE_STATEMENT_TIMEOUT": "5"}):
            with while_locked(url, claim):
                refused(lambda: create("key-1"))
            assert seen == ["55P03"]
            answer = create("key-1")
            assert answer.status == 201
            assert "idempotency-replayed" not in answer.headers

    def test_default_limits_are_within_the_functions_own(self, url: str, committed: dict[str, Any]) -> None:
        with while_locked(url):
            refused(lambda: patch(committed, name="refused"))
        with while_locked(url, LOCK_THE_TABLE):
            refused(lambda: get(committed))


class TestDeadlock:
    """Its victim has written nothing, and is repeated once."""

    @pytest.mark.parametrize("times", [1, 2])
    def test_is_broken(
        self, database: Engine, committed: dict[str, Any], seen: list[str], times: int
    ) -> None:
        url, name = url_of(database), database.url.database
        both_wait = during(
            url,
            # Of the two only the function looks for deadlocks in time, so it is the one that is refused.
            f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'",
            # Before it adds to the history, the function waits until the other waits for its table.
            "CREATE SEQUENCE dallied",
            "CREATE FUNCTION dally() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE"
            f" is_late constant boolean = nextval('dallied') > {times}; BEGIN"
            " WHILE NOT (is_late OR EXISTS (SELECT FROM pg_locks WHERE NOT granted)) LOOP"
            " PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END $$",
            "CREATE TRIGGER dally BEFORE INSERT ON token_bundle_change FOR EACH ROW"
            " WHEN (NEW.subject = 'admin-1') EXECUTE FUNCTION dally()",
            undo=[
                f"ALTER DATABASE {name} RESET deadlock_timeout",
                "DROP FUNCTION dally CASCADE",
                "DROP SEQUENCE dallied",
            ],
        )
        add = (
            "INSERT INTO token_bundle_change (bundle_id, version, action)"
            f" VALUES ('{committed['id']}', 2, 'deleted')"
        )
        dallies = "SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
        began = threading.Event()

        def other() -> None:
            with connected(url) as one, connected(url) as watcher:
                replica = "SET session_replication_role = replica"
                one.run("SET deadlock_timeout = '60s'")
                one.run(replica)
                for _ in range(times):
                    one.run("BEGIN")
                    one.run(add)
                    began.set()
                    until(lambda: watcher.run(dallies))
                    # Not for its row, which the function, refused, could take again before the other.
                    one.run(LOCK_THE_TABLE)
                    one.run("ROLLBACK")

        thread = threading.Thread(target=other)
        with both_wait, functions_with(DATABASE_STATEMENT_TIMEOUT="6", DATABASE_LOCK_TIMEOUT="6"):
            thread.start()
            assert began.wait(BOUND_SECONDS)
            if times == 1:
                assert patch(committed, name="changed").bundle["version"] == 2
            else:
                refused(lambda: patch(committed, name="refused"))
                assert get(committed).bundle == committed
            thread.join()
            assert seen == ["40P01"] * times


class TestReadOnly:
    def test_connection_is_left_with_the_server_that_became_a_replica(
        self, tmp_path: Path, seen: list[str]
    ) -> None:
        """After a failover the old server lives on, reads only, and must not keep its connections."""
        primary, replica = tmp_path / "primary", tmp_path / "replica"
        with postgres(primary, durable=False) as url, use_settings(DATABASE_URL=url):
            command.upgrade(Config(toml_file=ROOT / "pyproject.toml"), "head")
            with functions_with():
                bundle = request("POST", json_body=VALID).bundle
        subprocess.run(["cp", "-a", primary, replica], check=True)
        shutil.copy(f"{primary}.password", f"{replica}.password")
        (replica / "standby.signal").touch()
        with (
            postgres(primary, durable=False) as url,
            postgres(replica, durable=False) as replica_url,
            Proxy(replica_url) as proxy,
            functions_with(DATABASE_URL=proxy.url),
        ):
            assert get(bundle).bundle == bundle
            refused(lambda: patch(bundle, name="refused"))
            refused(lambda: create("key-1"))
            # Not even by a transaction that says that it wants to write.
            assert seen == ["0A000", "0A000"]
            proxy.target = make_url(url)
            assert patch(bundle, name="changed").bundle["version"] == 2
