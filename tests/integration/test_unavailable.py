"""A database that cannot be reached or is too slow, and connections that break in mid-query."""

import gc
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, NoReturn

import pg8000.native
import pytest
from sqlalchemy import Engine, make_url, text

from shared.database import connection as database_connection
from shared.database import writing
from shared.errors import DatabaseUnavailableError, OutcomeUnknownError
from tests.client import Answer, request
from tests.integration.conftest import assert_unavailable, functions_with, url_of
from tests.proxy import Fault, Proxy, silent_server

# The functions' own limit is 10 seconds.
BOUND_SECONDS = 8
WAIT_SECONDS = 20
SEEN: list[str] = []
VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}

# pg8000 leaves the socket of a connection that it could not make to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """Leave none of these sockets to the other tests."""
    yield
    gc.collect()


@pytest.fixture
def proxy(database: Engine, committed: dict[str, Any]) -> Iterator[Proxy]:  # noqa: ARG001
    """Stand between the functions and their database."""
    with Proxy(url_of(database)) as proxy, functions_with(**_hasty(proxy.url)):
        yield proxy


def _watch() -> list[str]:
    """Collect from now on what the server tells the functions when something goes wrong."""
    SEEN.clear()
    return SEEN


@pytest.fixture(autouse=True)
def sqlstates(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Exception] = []
    sqlstate = database_connection.sqlstate

    def note(error: Exception) -> str:
        code = sqlstate(error)
        if error not in told:
            told.append(error)
            SEEN.append(code)
        return code

    monkeypatch.setattr(database_connection, "sqlstate", note)


def _hasty(url: str = "", **variables: str) -> dict[str, str]:
    """The settings with which nothing takes long."""
    return {
        **({"DATABASE_URL": url} if url else {}),
        "DATABASE_CONNECT_TIMEOUT": "0.5",
        "DATABASE_STATEMENT_TIMEOUT": "0.5",
        "DATABASE_LOCK_TIMEOUT": "0.2",
        **variables,
    }


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


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextmanager
def locked(database: Engine, statement: str = "SELECT FROM token_bundle FOR UPDATE") -> Iterator[None]:
    with database.begin() as other:
        other.execute(text(statement))
        yield


class TestCannotConnect:
    def test_nothing_listens(self, database: Engine, committed: dict[str, Any]) -> None:
        with (
            Proxy(url_of(database), listening=False) as proxy,
            functions_with(**_hasty(proxy.url)),
        ):
            refused(lambda: get(committed))
            refused(lambda: patch(committed, name="refused"))
            proxy.listen()
            assert get(committed).bundle == committed

    @pytest.mark.parametrize("sqlstate", ["57P03", "57P01", "53300", "08006"])
    def test_refused_by_the_server(self, sqlstate: str, proxy: Proxy, committed: dict[str, Any]) -> None:
        """As by one that starts up or recovers; what the proxy answers in its place is what it would say."""
        seen = _watch()
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

    def test_never_answers(self, database: Engine, committed: dict[str, Any]) -> None:
        with silent_server() as port, functions_with(**_hasty(f"postgresql://nobody@127.0.0.1:{port}/none")):
            refused(lambda: get(committed))

    def test_answers_again(self, proxy: Proxy, committed: dict[str, Any]) -> None:
        proxy.on_client(b"", Fault.MUTE)
        refused(lambda: get(committed))
        refused(lambda: patch(committed, name="refused"))
        proxy.repair()
        assert get(committed).bundle == committed


class TestTooManyConnections:
    @pytest.fixture
    def role(self, database: Engine) -> Iterator[str]:
        """Somebody for whom limits count, which superusers may exceed."""
        with database.begin() as connection:
            connection.execute(text("CREATE ROLE limited LOGIN"))
            connection.execute(text("GRANT ALL ON ALL TABLES IN SCHEMA public TO limited"))
        yield "limited"
        with database.begin() as connection:
            connection.execute(text("DROP OWNED BY limited"))
            connection.execute(text("DROP ROLE limited"))

    @pytest.mark.parametrize("limited", ["ROLE limited", "DATABASE {database}"])
    def test_of_role_or_database(
        self, limited: str, role: str, database: Engine, committed: dict[str, Any]
    ) -> None:
        change = f"ALTER {limited.format(database=database.url.database)} CONNECTION LIMIT"
        with database.begin() as connection:
            connection.execute(text(f"{change} 0"))
        try:
            with functions_with(**_hasty(url_of(database, username=role))):
                seen = _watch()
                refused(lambda: get(committed))
                assert seen == ["53300"]
                with database.begin() as connection:
                    connection.execute(text(f"{change} -1"))
                assert get(committed).bundle == committed
        finally:
            with database.begin() as connection:
                connection.execute(text(f"{change} -1"))

    def test_of_the_server(self, server_url: str, database: Engine, committed: dict[str, Any]) -> None:
        server = make_url(server_url)

        def connect() -> pg8000.native.Connection:
            return pg8000.native.Connection(
                "postgres", host=server.host, port=server.port, database="postgres", ssl_context=False
            )

        database_connection.CONNECTION.close()
        seen = _watch()
        with ExitStack() as connections:
            watcher = connections.enter_context(connect())
            count = "SELECT count(*)::int FROM pg_stat_activity WHERE backend_type = 'client backend'"
            [[before]] = watcher.run(count)
            with ExitStack() as others:
                with pytest.raises(pg8000.DatabaseError, match="53300"):
                    _endlessly(lambda: others.enter_context(connect()))
                refused(lambda: get(committed))
                refused(lambda: patch(committed, name="refused"))
                assert seen == ["53300", "53300"]
            until(lambda: watcher.run(count)[0][0] <= before)
            assert get(committed).bundle == committed


def _endlessly(action: Callable[[], object]) -> NoReturn:
    while True:
        action()


class TestTooSlow:
    def test_statement(self, database: Engine, committed: dict[str, Any]) -> None:
        with database.begin() as connection:
            connection.execute(
                text(
                    "CREATE FUNCTION doze() RETURNS trigger LANGUAGE plpgsql"
                    " AS 'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
                )
            )
            connection.execute(
                text(
                    "CREATE TRIGGER doze BEFORE UPDATE ON token_bundle FOR EACH ROW"
                    " WHEN (NEW.name = 'slow') EXECUTE FUNCTION doze()"
                )
            )
        try:
            with functions_with(**_hasty()):
                seen = _watch()
                refused(lambda: patch(committed, name="slow"))
                assert seen == ["57014"]
                assert get(committed).bundle == committed
                assert patch(committed, name="quick").bundle["version"] == 2
        finally:
            with database.begin() as connection:
                connection.execute(text("DROP FUNCTION doze CASCADE"))

    def test_read(self, database: Engine, committed: dict[str, Any]) -> None:
        with functions_with(**_hasty(DATABASE_LOCK_TIMEOUT="60")):
            seen = _watch()
            with locked(database, "LOCK TABLE token_bundle IN ACCESS EXCLUSIVE MODE"):
                refused(lambda: get(committed))
                refused(lambda: request("GET"))
            assert seen == ["57014", "57014"]
            assert get(committed).bundle == committed

    def test_lock(self, database: Engine, committed: dict[str, Any]) -> None:
        with functions_with(**_hasty(DATABASE_STATEMENT_TIMEOUT="5")):
            seen = _watch()
            with locked(database):
                refused(lambda: patch(committed, name="refused"))
                refused(lambda: request("POST", f"/{committed['id']}/deactivate"))
                refused(lambda: request("DELETE", f"/{committed['id']}"))
            assert seen == ["55P03"] * 3
            assert get(committed).bundle == committed
            assert patch(committed, name="quick").bundle["version"] == 2

    def test_idempotency_key_in_use(self, database: Engine, committed: dict[str, Any]) -> None:
        claimed = "INSERT INTO token_bundle_idempotency_key (caller, key) VALUES ('sub:admin-1', 'key-1')"
        assert create("key-0").status == 201
        with database.begin() as connection:
            [[caller]] = connection.execute(text("SELECT caller FROM token_bundle_idempotency_key"))
        with functions_with(**_hasty(DATABASE_STATEMENT_TIMEOUT="5")):
            seen = _watch()
            other = database.connect()
            other.execute(text(claimed.replace("sub:admin-1", caller)))
            refused(lambda: create("key-1"))
            assert seen == ["55P03"]
            other.rollback()
            other.close()
            answer = create("key-1")
            assert answer.status == 201
            assert "idempotency-replayed" not in answer.headers

    def test_default_limits_are_within_the_functions_own(
        self, database: Engine, committed: dict[str, Any]
    ) -> None:
        with locked(database):
            refused(lambda: patch(committed, name="refused"))
        with locked(database, "LOCK TABLE token_bundle IN ACCESS EXCLUSIVE MODE"):
            refused(lambda: get(committed))


class TestDeadlock:
    def test_is_broken(self, database: Engine, committed: dict[str, Any]) -> None:
        name = database.url.database
        with database.begin() as connection:
            # Of the two only the function looks for deadlocks in time, so it is the one that is refused.
            connection.execute(text(f"ALTER DATABASE {name} SET deadlock_timeout = '50ms'"))
            # Before it adds to the history, the function waits until the other waits for its bundle.
            connection.execute(
                text(
                    "CREATE FUNCTION dally() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                    " WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted) LOOP"
                    " PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END $$"
                )
            )
            connection.execute(
                text(
                    "CREATE TRIGGER dally BEFORE INSERT ON token_bundle_change FOR EACH ROW"
                    " WHEN (NEW.subject = 'admin-1') EXECUTE FUNCTION dally()"
                )
            )
        began = threading.Event()

        def other() -> None:
            with database.connect() as connection:
                connection.execute(text("SET LOCAL deadlock_timeout = '60s'"))
                connection.execute(text("SET LOCAL lock_timeout = '60s'"))
                connection.execute(text("SET LOCAL statement_timeout = '60s'"))
                connection.execute(
                    text(
                        "INSERT INTO token_bundle_change (bundle_id, version, action)"
                        " VALUES (CAST(:id AS uuid), 2, 'deleted')"
                    ),
                    {"id": committed["id"]},
                )
                began.set()
                fresh = text("SELECT pg_stat_clear_snapshot()")
                dallies = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
                until(lambda: (connection.execute(fresh), connection.scalar(dallies))[1])
                connection.execute(text("SELECT FROM token_bundle FOR UPDATE"))
                connection.rollback()

        thread = threading.Thread(target=other)
        try:
            with functions_with(DATABASE_STATEMENT_TIMEOUT="6", DATABASE_LOCK_TIMEOUT="6"):
                seen = _watch()
                thread.start()
                assert began.wait(WAIT_SECONDS)
                refused(lambda: patch(committed, name="refused"))
                thread.join()
                assert seen == ["40P01"]
                assert get(committed).bundle == committed
        finally:
            thread.join()
            with database.begin() as connection:
                connection.execute(text(f"ALTER DATABASE {name} RESET deadlock_timeout"))
                connection.execute(text("DROP FUNCTION dally CASCADE"))


class TestReadOnly:
    def test_connection_is_left_with_the_server_that_became_a_replica(
        self, database: Engine, committed: dict[str, Any]
    ) -> None:
        """After a failover the old server lives on, reads only, and must not keep its connections."""
        change = f"ALTER DATABASE {database.url.database}"
        with database.begin() as connection:
            connection.execute(text(f"{change} SET default_transaction_read_only = on"))
        try:
            with functions_with():
                seen = _watch()
                assert get(committed).bundle == committed
                refused(lambda: patch(committed, name="refused"))
                refused(lambda: create("key-1"))
                assert seen == ["25006", "25006"]
                _writable(database, change)
                assert patch(committed, name="changed").bundle["version"] == 2
        finally:
            _writable(database, change)


def _writable(database: Engine, change: str) -> None:
    with database.connect() as connection:
        connection.execute(text("SET TRANSACTION READ WRITE"))
        connection.execute(text(f"{change} RESET default_transaction_read_only"))
        connection.commit()


class TestBrokenInMidQuery:
    @pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET, Fault.MUTE])
    @pytest.mark.parametrize("from_client", [True, False], ids=["question", "answer"])
    def test_read(self, proxy: Proxy, committed: dict[str, Any], fault: Fault, from_client: bool) -> None:
        if from_client:
            proxy.on_client(b"from public.token_bundle", fault)
        else:
            proxy.on_server(committed["id"].encode(), fault)
        refused(lambda: get(committed))
        assert proxy.caught == 1
        proxy.repair()
        assert get(committed).bundle == committed

    def test_frozen_backend(self, database: Engine, committed: dict[str, Any]) -> None:
        with functions_with(**_hasty()):
            assert get(committed).status == 200
            with writing() as connection:
                pid = int(connection.execute("SELECT pg_backend_pid()::text") or "")
            os.kill(pid, signal.SIGSTOP)
            try:
                refused(lambda: get(committed))
                # In a new connection, because the server itself is well.
                assert get(committed).bundle == committed
            finally:
                os.kill(pid, signal.SIGCONT)

    def test_killed_while_it_waits(self, database: Engine, committed: dict[str, Any]) -> None:
        waiting = "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        stop = threading.Event()

        def kill() -> None:
            with database.connect() as other:
                while not stop.is_set():
                    for (pid,) in other.execute(text(waiting)).all():
                        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
                    other.rollback()
                    time.sleep(0.01)

        killer = threading.Thread(target=kill)
        with locked_by_another(database):
            killer.start()
            try:
                refused(lambda: patch(committed, description="refused"), OutcomeUnknownError.detail)
            finally:
                stop.set()
                killer.join()
        assert patch(committed, description="made").bundle["version"] == 2


@contextmanager
def locked_by_another(database: Engine) -> Iterator[None]:
    """Lock the bundles on a connection beside those of `database`, which has only one."""
    url = database.url
    with pg8000.native.Connection(
        url.username or "", host=url.host, port=url.port, database=url.database, ssl_context=False
    ) as other:
        other.run("BEGIN")
        other.run("SELECT FROM token_bundle FOR UPDATE")
        yield


class TestOutcomeUnknown:
    """The connection breaks before the server has read the statement, or after it has committed it."""

    @pytest.fixture(params=[False, True], ids=["not made", "made"])
    def made(self, request: pytest.FixtureRequest, proxy: Proxy) -> bool:
        self.break_it(proxy, Fault.DROP, made=request.param)
        return bool(request.param)

    def break_it(self, proxy: Proxy, fault: Fault, *, made: bool) -> None:
        if made:
            proxy.on_server(b"SELECT 1\0", fault)
        else:
            proxy.on_client(b"insert into public.token_bundle_change", fault)

    @pytest.fixture(autouse=True)
    def warm(self, proxy: Proxy) -> None:
        assert request("GET").status == 200

    def test_create(self, made: bool, proxy: Proxy, database: Engine) -> None:
        refused(lambda: create("key-1", name="Once"), OutcomeUnknownError.detail)
        assert proxy.caught == 1
        proxy.repair()
        answer = create("key-1", name="Once")
        assert answer.status == 201
        assert ("idempotency-replayed" in answer.headers) == made
        assert request("GET", query={"q": "Once"}).json["items"] == [answer.bundle]
        assert create("key-1", name="Once").headers["idempotency-replayed"] == "true"

    def test_update(self, made: bool, proxy: Proxy, committed: dict[str, Any]) -> None:
        headers = {"If-Match": f'"{committed["version"]}"'}

        def update() -> Answer:
            return request("PATCH", f"/{committed['id']}", json_body={"description": "d"}, headers=headers)

        refused(update, OutcomeUnknownError.detail)
        assert proxy.caught == 1
        proxy.repair()
        assert get(committed).bundle["description"] == ("d" if made else None)
        assert update().status == (412 if made else 200)
        history = request("GET", f"/{committed['id']}/history").json
        assert [entry["version"] for entry in history["items"]] == [2, 1]

    def test_delete(self, made: bool, proxy: Proxy, committed: dict[str, Any]) -> None:
        refused(lambda: request("DELETE", f"/{committed['id']}"), OutcomeUnknownError.detail)
        assert proxy.caught == 1
        proxy.repair()
        assert request("DELETE", f"/{committed['id']}").status == (404 if made else 200)

    @pytest.mark.parametrize("is_made", [False, True])
    @pytest.mark.parametrize("fault", [Fault.RESET, Fault.MUTE])
    def test_however_it_breaks(self, proxy: Proxy, fault: Fault, *, is_made: bool) -> None:
        self.break_it(proxy, fault, made=is_made)
        refused(lambda: create("key-1"), OutcomeUnknownError.detail)
        proxy.repair()
        assert ("idempotency-replayed" in create("key-1").headers) == is_made


class TestEveryAnswerBelongsToItsQuestion:
    """A hundred mixed requests after one that broke the connection."""

    def test_after_a_parameter_that_cannot_be_sent(self, proxy: Proxy) -> None:
        with mixed_requests() as ask:
            for _ in range(10):
                with pytest.raises(UnicodeEncodeError), writing() as connection:
                    connection.execute("SELECT $1::text", "\ud800")
                ask(10)

    @pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET, Fault.MUTE])
    def test_after_a_broken_answer(self, proxy: Proxy, fault: Fault) -> None:
        with mixed_requests() as ask:
            broken = request("POST", json_body=VALID | {"name": "broken"}).bundle
            for _ in range(2):
                proxy.on_server(broken["id"].encode(), fault)
                refused(lambda: get(broken))
                proxy.repair()
                ask(50)


@contextmanager
def mixed_requests() -> Iterator[Callable[[int], None]]:
    """Yield what sends a number of requests of all kinds, on bundles of its own, and checks each answer."""
    bundles = [request("POST", json_body=VALID | {"name": f"bundle {number}"}).bundle for number in range(5)]
    numbers = itertools.count()

    def ask(count: int) -> None:
        for number in itertools.islice(numbers, count):
            place = number // 4 % len(bundles)
            bundle = bundles[place]
            if number % 4 == 0:
                assert get(bundle).bundle == bundle
            elif number % 4 == 1:
                changed = patch(bundle, description=f"change {number}").bundle
                bundles[place] = {
                    **bundle,
                    "description": f"change {number}",
                    "version": bundle["version"] + 1,
                    "updated_at": changed["updated_at"],
                }
                assert changed == bundles[place]
            elif number % 4 == 2:
                assert request("GET", query={"q": bundle["name"]}).json["items"] == [bundle]
            else:
                history = request("GET", f"/{bundle['id']}/history", query={"per_page": "1"}).json
                assert history["total"] == history["items"][0]["version"] == bundle["version"]

    yield ask
