"""What happens when the database does not answer, on the connection that the functions really use."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.database import engine as database_engine
from shared.database import transaction
from tests.client import Answer, request
from tests.conftest import use_settings


@pytest.fixture
def committed(database: Engine) -> Iterator[dict[str, Any]]:
    """A bundle that other connections can see, through the functions' own engine."""
    database_engine.engine.cache_clear()
    yield request("POST", json_body={"name": "n", "token_amount": 1, "price": 1}).bundle
    database_engine.engine().dispose()
    database_engine.engine.cache_clear()
    with database.begin() as connection:
        connection.execute(text("DELETE FROM token_bundle"))


def assert_unavailable(answer: Answer) -> None:
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["detail"] == "The database is not available at the moment: try again shortly."


class TestUnavailable:
    def test_nothing_listens(self) -> None:
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            with use_settings(DATABASE_URL=f"postgresql://nobody@127.0.0.1:{closed.getsockname()[1]}/none"):
                database_engine.engine.cache_clear()
                assert_unavailable(request("GET"))
        database_engine.engine.cache_clear()

    def test_connection_lost_between_requests(self, database: Engine, committed: dict[str, Any]) -> None:
        with database.begin() as other:
            others = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
            )
            other.execute(text(f"{others} AND pid <> pg_backend_pid()"))
        assert request("GET", f"/{committed['id']}").bundle == committed

    def test_too_slow(self, database: Engine, committed: dict[str, Any]) -> None:
        with database.begin() as other:
            other.execute(text("SELECT FROM token_bundle FOR UPDATE"))
            assert_unavailable(request("PATCH", f"/{committed['id']}", json_body={"name": "changed"}))
        assert request("GET", f"/{committed['id']}").status == 200


class TestPoisonedConnection:
    def test_serves_no_other_request(self, committed: dict[str, Any]) -> None:
        with pytest.raises(UnicodeEncodeError), transaction() as connection:
            connection.execute(text("SELECT CAST(:text AS text)"), {"text": "\ud800"})
        for number in range(20):
            with transaction() as connection:
                assert (
                    connection.scalar(text("SELECT CAST(:number AS integer)"), {"number": number}) == number
                )
        assert request("GET", f"/{committed['id']}").bundle == committed
