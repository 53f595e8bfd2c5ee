"""The database restarts, its connections are killed, a process dies: nothing is lost and nothing doubled."""

import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from dev.database.postgres import postgres
from tests.e2e import serving
from tests.e2e.load import VALID, Load, audit, load_on
from tests.e2e.serving import BUNDLES, Gateway
from tests.postgres import EMPTY, connected, execute, server_pid
from tests.waiting import until

ROUNDS = 10 if os.environ.get("TEST_SIZE") == "full" else 2
WORKERS = 2
BACK_SECONDS = 20
OTHERS = "FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

PS = shutil.which("ps")

Tell = Callable[[str], None]


class Server:
    """A Postgres that writes everything to the disk, always on the same port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = _free_port()
        self.start()

    def stop(self, number: int) -> None:
        """Stop as the signal says: SIGINT is Postgres' fast shutdown, SIGQUIT the immediate one."""
        os.kill(server_pid(self.folder), number)
        self.running.__exit__(None, None, None)

    def start(self) -> None:
        self.running = postgres(self.folder, port=self.port)
        self.url = self.running.__enter__()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    server = Server(tmp_path_factory.mktemp("bad-days") / "data")
    yield server
    server.running.__exit__(None, None, None)


def _free_port() -> int:
    """Find one that the system gives to no outgoing connection while the server is stopped."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(20_000, 30_000)))  # noqa: S311 - no secret
            port: int = probe.getsockname()[1]
            return port


@pytest.fixture(scope="module")
def gateway(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(serving.ENVIRONMENT, "DATABASE_URL", server.url)
        with serving.serving(
            tmp_path_factory.mktemp("gateway"), "--no-sample", "--workers", str(WORKERS)
        ) as gateway:
            yield gateway


@pytest.fixture(scope="module")
def token(gateway: Gateway) -> str:
    return gateway.token()


@pytest.fixture(autouse=True)
def empty(gateway: Gateway, server: Server) -> None:  # noqa: ARG001 - which migrates the database
    execute(server.url, EMPTY)


@pytest.fixture
def tell(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Tell:
    """Print, also when the test passes."""

    _, _, test = request.node.nodeid.partition("::")

    def tell(text: str) -> None:
        with capsys.disabled():
            print(f"\n{test}: {text}")

    return tell


@contextmanager
def audited_load(gateway: Gateway, token: str, server: Server, tell: Tell) -> Iterator[Load]:
    with load_on(gateway, token) as load:
        load.wait_for("acknowledged", 20)
        yield load
        load.wait_for("acknowledged", 20)
    audit(load.account, server.url, tell)


class TestKilledBackends:
    def test_idle(self, gateway: Gateway, token: str, server: Server, tell: Tell) -> None:
        """What dies between two requests costs their callers nothing."""
        killed = 0
        with gateway.client(token) as client, connected(server.url) as database:
            for _ in range(ROUNDS * 5):
                for _ in range(WORKERS * 2):
                    assert client.get(BUNDLES).status_code == 200
                killed += len(database.run(f"SELECT pg_terminate_backend(pid, 20000) {OTHERS}"))
                for _ in range(WORKERS * 2):
                    assert client.post(BUNDLES, json=VALID | {"name": "n"}).status_code == 201
        tell(f"killed {killed}, refused 0")
        assert killed

    def test_under_load(self, gateway: Gateway, token: str, server: Server, tell: Tell) -> None:
        killed = 0
        with audited_load(gateway, token, server, tell) as load, connected(server.url) as database:
            for _ in range(ROUNDS * 10):
                killed += len(database.run(f"SELECT pg_terminate_backend(pid) {OTHERS}"))
                load.wait_for("acknowledged", 5)
        tell(f"killed {killed}")
        assert killed >= ROUNDS


class TestRestartedServer:
    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT], ids=["fast", "immediate"])
    def test_under_load(self, number: int, gateway: Gateway, token: str, server: Server, tell: Tell) -> None:
        back = []
        with audited_load(gateway, token, server, tell) as load:
            for _ in range(ROUNDS):
                server.stop(number)
                try:
                    load.wait_for("refused", 10)
                finally:
                    server.start()
                back.append(load.wait_for("acknowledged", 1))
                load.wait_for("acknowledged", 20)
        tell(f"back after at most {max(back):.1f} s")
        assert max(back) < BACK_SECONDS


@pytest.mark.skipif(PS is None, reason="ps, which finds the processes, is not installed")
class TestKilledWorker:
    def test_under_load(self, gateway: Gateway, token: str, server: Server, tell: Tell) -> None:
        with audited_load(gateway, token, server, tell) as load:
            load.answers_may_be_lost = True
            for _ in range(ROUNDS * 2):
                victim = _workers(gateway).pop()
                os.kill(victim, signal.SIGKILL)
                load.wait_for("acknowledged", 20)
                until(partial(_has_all_but, gateway, victim))


def _has_all_but(gateway: Gateway, victim: int) -> bool:
    workers = _workers(gateway)
    return len(workers) == WORKERS and victim not in workers


def _workers(gateway: Gateway) -> set[int]:
    command = [PS or "", "-A", "-o", "pid=,ppid=,args="]
    listed = subprocess.run(command, capture_output=True, text=True, check=True)
    lines = [line.split(maxsplit=2) for line in listed.stdout.splitlines()]
    parent = str(gateway.process.pid)
    return {int(pid) for pid, ppid, words in lines if ppid == parent and "dev.gateway.worker" in words}
