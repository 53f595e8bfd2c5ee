"""Runs real gateways: `python -m dev serve` on a free port, with a folder of its own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from dev.database.postgres import running_postgres
from tests.postgres import server_pid
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
BUNDLES = "/api/v1/admin/token-bundles"
START_SECONDS = 60
STOP_SECONDS = 20
ENVIRONMENT = {
    name: value
    for name, value in os.environ.items()
    if name not in {"ALLOWED_ORIGINS", "DATABASE_URL", "PORT", "THROTTLE"}
}


@dataclass(frozen=True)
class Gateway:
    """A gateway that runs."""

    process: subprocess.Popen[bytes]
    folder: Path
    output: Path
    url: str

    @property
    def postgres_pid(self) -> int:
        return server_pid(self.folder / "postgres")

    @property
    def database_url(self) -> str:
        server = running_postgres(self.folder / "postgres")
        assert server
        return urlsplit(server)._replace(path="/token_bundles").geturl()

    def token(self, *arguments: str) -> str:
        return run_dev(self.folder, "token", *arguments).stdout.strip()

    def client(self, token: str | None = None, **options: Any) -> httpx.Client:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False, **options)

    def stop(self, number: int) -> int:
        """Send a signal as a terminal does: to the whole process group."""
        os.killpg(self.process.pid, number)
        return self.process.wait(STOP_SECONDS)


def run_dev(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dev", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | {"DEV_FOLDER": str(folder)} | environment,
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
        check=False,
    )


@contextmanager
def serving(folder: Path, *arguments: str, root: Path = ROOT, **environment: str) -> Iterator[Gateway]:
    """Run a gateway of the checkout in `root` on a free port until the block ends."""
    output = folder / "output.txt"
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "dev", "serve", "--port", "0", *arguments],
            cwd=root,
            env=ENVIRONMENT | {"DEV_FOLDER": str(folder), "PYTHONUNBUFFERED": "1"} | environment,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
    try:
        yield Gateway(process, folder, output, url=_printed_url(process, output))
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(STOP_SECONDS)
        process.kill()
        process.wait()


def _printed_url(process: subprocess.Popen[bytes], output: Path) -> str:
    def found() -> re.Match[str] | None:
        return re.search(r"^curl -sS (http://127\.0\.0\.1:\d+)/", output.read_text(), re.MULTILINE)

    until(lambda: found() or process.poll() is not None)
    printed = found()
    assert printed, f"the gateway did not start:\n{output.read_text()}"
    return printed[1]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True
