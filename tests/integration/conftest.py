"""Each test runs in a transaction that is rolled back, on a migrated database."""

import gc
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, cast

import pytest
from sqlalchemy import Connection, Engine, text

from migrations.runner import make_engine
from shared.database import Connection as FunctionsConnection
from shared.database import connection as database_connection
from shared.database import credentials
from shared.database.driver import Parameter, PipelinedConnection
from shared.settings import Timeouts
from tests.client import Answer, request
from tests.conftest import CreateDatabase, use_settings
from tests.postgres import EMPTY, as_role
from tests.proxy import Proxy

Counted = Callable[[], list[str]]

# Settings with which nothing takes long.
HASTY = {
    "DATABASE_CONNECT_TIMEOUT": "0.5",
    "DATABASE_STATEMENT_TIMEOUT": "0.5",
    "DATABASE_LOCK_TIMEOUT": "0.2",
}


@pytest.fixture(scope="session")
def database(create_database: CreateDatabase, migrated_database: str) -> Iterator[Engine]:
    """Point the settings at a database of this run, and return an engine for it."""
    url = create_database(copy_of=migrated_database)
    with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        engine = make_engine(url, Timeouts())
        yield engine
        engine.dispose()


def url_of(database: Engine, username: str | None = None) -> str:
    """Write the URL of an engine's database as the settings want it, perhaps for another user."""
    url = database.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return as_role(url, username) if username else url


class SavepointConnection(FunctionsConnection):
    """The functions' connection, in a transaction that is never committed."""

    def __init__(self, transaction: Connection) -> None:
        self.transaction = transaction
        self._driver = cast("PipelinedConnection", transaction.connection.dbapi_connection)

    def open(self) -> PipelinedConnection:
        return cast("PipelinedConnection", self._driver)

    def execute(self, sql: str, *parameters: Parameter, **options: Any) -> str | None:
        # An error undoes the statement alone, as it does outside of a transaction; so does a preview.
        with self.transaction.begin_nested() as savepoint:
            text = super().execute(sql, *parameters, **options)
            if self.is_preview:
                savepoint.rollback()
            return text


@pytest.fixture
def connection(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    with database.connect() as connection:
        # What goes to the driver directly does not begin a transaction.
        connection.execute(text("SELECT"))
        monkeypatch.setattr(database_connection, "CONNECTION", SavepointConnection(connection))
        # It would undo the test's own transaction.
        monkeypatch.setattr(database_connection, "ROLLBACK", ("SELECT WHERE false", ()))
        yield connection
        connection.rollback()


@pytest.fixture
def bundle(connection: Connection) -> dict[str, Any]:  # noqa: ARG001
    """A bundle that exists."""
    answer = request("POST", json_body={"name": "Starter", "token_amount": 1000, "price": "9.90"})
    assert answer.status == 201
    return answer.bundle


@contextmanager
def functions_with(**variables: str) -> Iterator[None]:
    """Have the functions connect anew with these settings, as in a process that has just started."""
    database_connection.CONNECTION.close()
    with use_settings(**variables):
        try:
            yield
        finally:
            database_connection.CONNECTION.close()


@pytest.fixture
def committed(database: Engine) -> Iterator[dict[str, Any]]:
    """A bundle that other connections can see, through the functions' own engine."""
    with functions_with():
        yield request("POST", json_body={"name": "n", "token_amount": 1, "price": 1}).bundle
    with database.begin() as connection:
        connection.execute(text(EMPTY))


@pytest.fixture
def url(database: Engine) -> str:
    """Where an administrator reaches the functions' database."""
    return url_of(database)


@pytest.fixture
def proxy(url: str, committed: dict[str, Any]) -> Iterator[Proxy]:  # noqa: ARG001
    """Stand between the functions and their database."""
    with Proxy(url) as proxy, functions_with(**HASTY, DATABASE_URL=proxy.url):
        yield proxy


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Leave no socket to the garbage collector of other tests, nor a Secrets Manager that is away."""
    yield
    credentials._secrets.cache_clear()  # noqa: SLF001
    gc.collect()


@pytest.fixture(scope="module", autouse=True)
def no_metrics() -> Iterator[None]:
    """Print none, among which what a failed test has logged would be hard to find."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        yield


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Counted:
    """Return the names of the metrics that were printed since it was called last."""
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED")

    def counted() -> list[str]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines() if '"_aws"' in line]
        assert all(line["service"] == "token-bundles" for line in lines)
        assert all(line["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "TokenBundles" for line in lines)
        names = [line["_aws"]["CloudWatchMetrics"][0]["Metrics"][0]["Name"] for line in lines]
        assert all(line[name] == [1.0] for name, line in zip(names, lines, strict=True))
        return names

    return counted


def assert_unavailable(
    answer: Answer, detail: str = "The database is not available at the moment: try again shortly."
) -> None:
    assert answer.status == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["detail"] == answer.json["error"] == detail
