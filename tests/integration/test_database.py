"""What becomes of the connection between requests, on the engine that the functions really use."""

import signal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.database import Statement, reading, writing
from tests.client import request


class TestConnection:
    def test_lost_between_requests(self, database: Engine, committed: dict[str, Any]) -> None:
        with database.begin() as other:
            others = "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ended = other.execute(text(f"SELECT pg_terminate_backend(pid, 20000) {others}"))
            assert ended.scalars().all() == [True]
        assert request("GET", f"/{committed['id']}").bundle == committed


class TestPoisonedConnection:
    def test_whatever_interrupts_an_answer(self, committed: dict[str, Any]) -> None:
        """An answer that is still to come must not be the next request's."""
        sleep = Statement(text("SELECT 'of the first', pg_sleep(1)"))

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        before = signal.signal(signal.SIGALRM, interrupt)
        try:
            signal.setitimer(signal.ITIMER_REAL, 0.5)
            with pytest.raises(KeyboardInterrupt), reading() as connection:
                connection.execute(sleep, {})
        finally:
            signal.signal(signal.SIGALRM, before)
        with reading() as connection:
            assert connection.execute(Statement(text("SELECT 'of the second'")), {}) == [["of the second"]]

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
