"""One gateway for the tests of what it answers, and others for the tests of its processes."""

import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.e2e.serving import Gateway, run_dev, serving


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("gateway"), "--no-sample") as gateway:
        yield gateway
        assert gateway.stop(signal.SIGTERM) == 0, gateway.output.read_text()


@pytest.fixture(scope="session")
def token(gateway: Gateway) -> str:
    return gateway.token()


@pytest.fixture
def anonymous(gateway: Gateway) -> Iterator[httpx.Client]:
    with gateway.client() as client:
        yield client


@pytest.fixture
def admin(gateway: Gateway, token: str) -> Iterator[httpx.Client]:
    with gateway.client(token) as client:
        yield client


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a migrated database, to be copied."""
    folder = tmp_path_factory.mktemp("migrated")
    assert run_dev(folder, "migrate").returncode == 0
    return folder


@pytest.fixture
def start(tmp_path: Path, migrated: Path) -> Iterator[Callable[..., Gateway]]:
    """Start gateways of the test's own, all on the same data; they end with the test."""
    subprocess.run(["cp", "-a", f"{migrated}/.", tmp_path], check=True)
    with ExitStack() as running:
        yield lambda *arguments, **options: running.enter_context(serving(tmp_path, *arguments, **options))
