"""What becomes of the connection between requests, on the engine that the functions really use."""

from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.database import Statement, writing
from tests.client import request


class TestConnection:
    def test_lost_between_requests(self, database: Engine, committed: dict[str, Any]) -> None:
        with database.begin() as other:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ended = other.execute(text(f"SELECT pg_terminate_backend(pid, 20000) {others}"))
            assert ended.scalars().all() == [True]
        assert request("GET", f"/{committed['id']}").bundle == committed


class TestPoisonedConnection:
    def test_serves_no_other_request(self, committed: dict[str, Any]) -> None:
        with pytest.raises(UnicodeEncodeError), writing() as connection:
            connection.execute(Statement(text("SELECT CAST(:text AS text)")), {"text": "\ud800"})
        for number in range(20):
            with writing() as connection:
                same = connection.execute(
                    Statement(text("SELECT CAST(:number AS integer)")), {"number": number}
                )
            assert same == [[number]]
        assert request("GET", f"/{committed['id']}").bundle == committed
