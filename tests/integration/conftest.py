"""Each test runs in a transaction that is rolled back, on a migrated database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, CursorResult, Engine, text

from shared.database import engine as database_engine
from shared.database.engine import make_engine
from shared.settings import Timeouts
from tests.client import Answer, request
from tests.conftest import CreateDatabase, use_settings


@pytest.fixture(scope="session")
def database(create_database: CreateDatabase, migrated_database: str) -> Iterator[Engine]:
    """Point the settings at a database of this run, and return an engine for it."""
    url = create_database(copy_of=migrated_database)
    with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        engine = make_engine(url, Timeouts())
        yield engine
        engine.dispose()


class SavepointEngine:
    """Stands in for the engine: what it begins is a savepoint of a transaction that is never committed."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @contextmanager
    def connect(self) -> Iterator["SavepointEngine"]:
        with self.connection.begin_nested() as self.savepoint:
            yield self

    def commit(self) -> None:
        self.savepoint.commit()

    def execute(self, *arguments: Any) -> CursorResult[Any]:
        return self.connection.execute(*arguments)

    def scalar(self, *arguments: Any) -> Any:
        return self.connection.scalar(*arguments)


@pytest.fixture
def connection(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Iterator[Connection]:
    with database.connect() as connection:
        monkeypatch.setattr(database_engine, "engine", lambda: SavepointEngine(connection))
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
    """Give the functions an engine with these settings, as in a process that has just started."""
    _dispose_of_engine()
    with use_settings(**variables):
        try:
            yield
        finally:
            _dispose_of_engine()


def _dispose_of_engine() -> None:
    if database_engine.engine.cache_info().currsize:
        database_engine.engine().dispose()
        database_engine.engine.cache_clear()


@pytest.fixture
def committed(database: Engine) -> Iterator[dict[str, Any]]:
    """A bundle that other connections can see, through the functions' own engine."""
    with functions_with():
        yield request("POST", json_body={"name": "n", "token_amount": 1, "price": 1}).bundle
    with database.begin() as connection:
        connection.execute(text("TRUNCATE token_bundle, token_bundle_change, token_bundle_idempotency_key"))


def assert_unavailable(
    answer: Answer, detail: str = "The database is not available at the moment: try again shortly."
) -> None:
    assert answer.status == 503, answer.text
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["detail"] == answer.json["error"] == detail
