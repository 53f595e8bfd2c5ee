"""What `make build` has made, and the emulator of Lambda's runtime to run it."""

import io
import os
import re
import signal
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from dev.database.postgres import free_port, listens, within
from dev.local import ROOT

BUILD = ROOT / ".aws-sam/build"
EMULATOR = os.environ.get("LAMBDA_EMULATOR", "")
PYTHON = os.environ.get("LAMBDA_PYTHON", "")
START_SECONDS = 30


def files(folder: Path) -> dict[str, bytes]:
    """Read all that is deployed of a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "template.yaml"
    }


def zipped(contents: dict[str, bytes]) -> int:
    """Count the bytes of a ZIP archive with these contents."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in contents.items():
            file.writestr(name, content)
    return archive.tell()


@dataclass
class Function:
    """A built function in its emulator."""

    name: str
    address: str
    log: Path
    seconds: list[float] = field(default_factory=list)

    def invoke(self, payload: dict[str, Any]) -> Any:
        """Send one invocation, and return what the function answers."""
        url = f"http://{self.address}/2015-03-31/functions/function/invocations"
        answer = httpx.post(url, json=payload, timeout=60)
        self.seconds.append(answer.elapsed.total_seconds())
        return answer.json()

    @property
    def init_milliseconds(self) -> float:
        """How long it was until the function was ready for its first invocation."""
        (milliseconds,) = re.findall(r"INIT REPORT\(durationMs: ([\d.]+)", self.log.read_text())
        return float(milliseconds)


@contextmanager
def running(name: str, handler: str, database_url: str, folder: Path) -> Iterator[Function]:
    """Run a built function until the block ends, with its log in a folder."""
    address, log = f"127.0.0.1:{free_port()}", folder / f"{name}.log"
    addresses = (
        f"--runtime-interface-emulator-address={address}",
        f"--runtime-api-address=127.0.0.1:{free_port()}",
    )
    command = [EMULATOR, "--log-level=info", *addresses, PYTHON, "-m", "awslambdaric", handler]
    environment = {
        "PATH": os.defpath,
        "HOME": str(folder),
        "PYTHONPATH": str(BUILD / "SharedLayer/python"),
        # As in Lambda, where what is deployed cannot be written.
        "PYTHONDONTWRITEBYTECODE": "1",
        "AWS_LAMBDA_FUNCTION_TIMEOUT": "60",
        "DATABASE_URL": database_url,
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=BUILD / name, env=environment, stdout=output, stderr=output, start_new_session=True
        )
        try:
            within(START_SECONDS, lambda: process.poll() is not None or listens(f"//{address}"))
            if not listens(f"//{address}"):
                raise ChildProcessError("the emulator did not start")
            yield Function(name, address, log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
