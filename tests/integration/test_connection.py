"""What becomes of the functions' connection between requests."""

import signal
from typing import Any

import pytest
from sqlalchemy import Engine, text

from shared.database import reading
from tests.client import request
from tests.integration.conftest import functions_with


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
