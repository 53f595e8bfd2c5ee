"""Connections that break in mid-query."""

import os
import signal
import threading
from collections.abc import Callable
from typing import Any

import pytest

from shared.database import writing
from shared.errors import OutcomeUnknownError
from tests.client import Answer, request
from tests.integration.at_once import live_through_a_bundle
from tests.integration.conftest import HASTY, functions_with
from tests.integration.test_unavailable import create, get, patch, refused, while_locked
from tests.postgres import execute
from tests.proxy import Fault, Proxy
from tests.waiting import until

# pg8000 leaves the socket of a connection that it could not make to the garbage collector.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning"),
    pytest.mark.usefixtures("nothing_left"),
]


def lost(ask: Callable[[], Answer], proxy: Proxy) -> None:
    """A write is never repeated."""
    refused(ask, OutcomeUnknownError.detail)
    assert proxy.caught == 1
    proxy.repair()


def lost_twice(ask: Callable[[], Answer], proxy: Proxy) -> None:
    """A read is repeated once."""
    refused(ask)
    assert proxy.caught == 2
    proxy.repair()


class TestBrokenInMidQuery:
    @pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET, Fault.MUTE])
    def test_read(self, proxy: Proxy, committed: dict[str, Any], fault: Fault) -> None:
        proxy.on_client(b"from public.token_bundle", fault)
        # What says nothing on a new connection is slow, and not asked again.
        lost_twice(lambda: get(committed), proxy) if fault != Fault.MUTE else refused(lambda: get(committed))
        proxy.repair()
        assert get(committed).bundle == committed

    @pytest.mark.parametrize("sqlstate", [None, "57P01"])
    @pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET, Fault.MUTE])
    def test_warm_connection(
        self, proxy: Proxy, committed: dict[str, Any], fault: Fault, sqlstate: str | None
    ) -> None:
        """Dead for long, as behind a firewall that forgets idle ones, or by a shutdown at this moment."""
        asks: list[Callable[[], Answer]] = [lambda: get(committed), lambda: request("GET")]
        for ask in asks:
            assert ask().status == 200
            proxy.on_client(b"", fault, sqlstate, once=True)
            assert ask().status == 200
            assert proxy.caught == 1
            proxy.repair()
        proxy.on_client(b"", fault, sqlstate, once=True)
        lost(lambda: patch(committed, name="refused"), proxy)

    def test_frozen_backend(self, committed: dict[str, Any]) -> None:
        with functions_with(**HASTY):
            assert get(committed).status == 200
            with writing() as connection:
                pid = int(connection.execute("SELECT pg_backend_pid()::text") or "")
            os.kill(pid, signal.SIGSTOP)
            try:
                # In a new connection, because the server itself is well.
                assert get(committed).bundle == committed
            finally:
                os.kill(pid, signal.SIGCONT)

    def test_killed_while_it_waits(self, url: str, committed: dict[str, Any]) -> None:
        kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        killer = threading.Thread(target=lambda: until(lambda: execute(url, kill)))
        with while_locked(url):
            killer.start()
            refused(lambda: patch(committed, description="refused"), OutcomeUnknownError.detail)
            killer.join()
        assert patch(committed, description="made").bundle["version"] == 2


class TestOutcomeUnknown:
    """The connection breaks before the server has read the statement, or after it has committed it."""

    @pytest.fixture(params=[False, True], ids=["not made", "made"])
    def made(self, request: pytest.FixtureRequest) -> bool:
        return bool(request.param)

    @pytest.fixture(params=[Fault.DROP, Fault.RESET, Fault.MUTE], autouse=True)
    def broken(self, request: pytest.FixtureRequest, warm: None, proxy: Proxy, made: bool) -> None:
        if made:
            proxy.on_server(b"SELECT 1\0", request.param)
        else:
            proxy.on_client(b"insert into public.token_bundle_change", request.param)

    @pytest.fixture
    def warm(self, proxy: Proxy) -> None:
        assert request("GET").status == 200

    def test_create(self, made: bool, proxy: Proxy) -> None:
        lost(lambda: create("key-1", name="Once"), proxy)
        answer = create("key-1", name="Once")
        assert answer.status == 201
        assert ("idempotency-replayed" in answer.headers) == made
        assert request("GET", query={"q": "Once"}).json["items"] == [answer.bundle]
        assert create("key-1", name="Once").headers["idempotency-replayed"] == "true"

    def test_update(self, made: bool, proxy: Proxy, committed: dict[str, Any]) -> None:
        headers = {"If-Match": f'"{committed["version"]}"'}

        def update() -> Answer:
            return request("PATCH", f"/{committed['id']}", json_body={"description": "d"}, headers=headers)

        lost(update, proxy)
        assert get(committed).bundle["description"] == ("d" if made else None)
        assert update().status == (412 if made else 200)
        history = request("GET", f"/{committed['id']}/history").json
        assert [entry["version"] for entry in history["items"]] == [2, 1]

    def test_delete(self, made: bool, proxy: Proxy, committed: dict[str, Any]) -> None:
        lost(lambda: request("DELETE", f"/{committed['id']}"), proxy)
        assert request("DELETE", f"/{committed['id']}").status == (404 if made else 200)


class TestEveryAnswerBelongsToItsQuestion:
    """Many mixed requests after one that broke the connection."""

    def test_after_a_parameter_that_cannot_be_sent(self, proxy: Proxy) -> None:
        for number in range(5):
            with pytest.raises(UnicodeEncodeError), writing() as connection:
                connection.execute("SELECT $1::text", "\ud800")
            live_through_a_bundle(f"bundle {number}")

    @pytest.mark.parametrize("fault", [Fault.DROP, Fault.RESET, Fault.MUTE])
    def test_after_a_broken_answer(self, proxy: Proxy, committed: dict[str, Any], fault: Fault) -> None:
        for number in range(2):
            assert get(committed).bundle == committed
            proxy.on_server(committed["id"].encode(), fault)
            lost_twice(lambda: get(committed), proxy)
            live_through_a_bundle(f"bundle {number}")
