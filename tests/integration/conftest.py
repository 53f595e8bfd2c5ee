"""Each test runs in a transaction that is rolled back, on a migrated database."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, CursorResult, Engine

from shared.database import engine as database_engine
from shared.database.engine import make_engine
from shared.settings import Timeouts
from tests.client import request
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
