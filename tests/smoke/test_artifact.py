"""The built artifact, run by the emulator of Lambda's runtime and the Python that is deployed."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pg8000.native
import pytest
from sqlalchemy import make_url

from dev.local import ROOT
from dev.postgres import free_port, postgres
from tests.client import BUNDLES, READ, TEMPLATE, WRITE, event

BUILD = ROOT / ".aws-sam/build"
EMULATOR = os.environ.get("LAMBDA_EMULATOR", "")
PYTHON = os.environ.get("LAMBDA_PYTHON", "")
CLAIMS = {"sub": "smoke", "scope": f"{READ} {WRITE}"}
START_SECONDS = 30

pytestmark = pytest.mark.skipif(not EMULATOR, reason="only `make smoke` has built what this runs")


class Function:
    """A built function in its emulator."""

    def __init__(self, name: str, address: str, log: Path) -> None:
        self.name = name
        self.address = address
        self.log = log
        self.seconds: list[float] = []

    def invoke(self, payload: dict[str, Any]) -> Any:
        began = time.perf_counter()
        answer = httpx.post(
            f"{self.address}/2015-03-31/functions/function/invocations", json=payload, timeout=60
        )
        self.seconds.append(time.perf_counter() - began)
        return answer.json()

    @property
    def init_milliseconds(self) -> float:
        found = re.search(r"INIT REPORT\(durationMs: ([\d.]+)", self.log.read_text())
        assert found, self.log.read_text()
        return float(found[1])


@contextmanager
def running(name: str, handler: str, database_url: str, folder: Path) -> Iterator[Function]:
    ports = [free_port(), free_port()]
    log = folder / f"{name}.log"
    command = [
        EMULATOR,
        "--log-level",
        "info",
        "--runtime-interface-emulator-address",
        f"127.0.0.1:{ports[0]}",
        "--runtime-api-address",
        f"127.0.0.1:{ports[1]}",
        PYTHON,
        "-m",
        "awslambdaric",
        handler,
    ]
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
            _wait_for(ports[0], process)
            yield Function(name, f"http://127.0.0.1:{ports[0]}", log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, "the emulator has ended"
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    pytest.fail("the emulator did not start")


def test_one_pass_over_all_routes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    functions: list[Function] = []
    with postgres(tmp_path / "data", durable=False) as server_url:
        server = make_url(server_url)
        with pg8000.native.Connection(
            "postgres", host=server.host, port=server.port, ssl_context=False
        ) as admin:
            admin.run("CREATE DATABASE smoke")
        url = server.set(database="smoke").render_as_string(hide_password=False)

        with running("Migrate", "migrate.handler", url, tmp_path) as migrate:
            outcome = migrate.invoke({"command": "upgrade"})
            assert outcome["after"], outcome
            assert migrate.invoke({"command": "current"})["after"] == outcome["after"]
            functions.append(migrate)

        bundle_id = ""
        order = ["POST", "GET", "PUT", "PATCH", "DELETE"]
        deleted_last = sorted(
            TEMPLATE.routes, key=lambda route: (route.method == "DELETE", order.index(route.method))
        )
        by_function = dict.fromkeys(route.function for route in deleted_last)
        for function in by_function:
            with running(function.name, function.handler, url, tmp_path) as emulated:
                for route in (route for route in deleted_last if route.function == function):
                    path = route.path.replace("{bundle_id}", bundle_id)
                    answer = emulated.invoke(_request(route.method, path))
                    assert answer["statusCode"] == (
                        201 if path.rstrip("/") == BUNDLES and route.method == "POST" else 200
                    ), answer
                    if answer["statusCode"] == 201:
                        bundle_id = json.loads(answer["body"])["bundle"]["id"]
                functions.append(emulated)

        with capsys.disabled():
            print("\ninit ms  first ms  function")
            for emulated in functions:
                first = emulated.seconds[0] * 1000
                print(f"{emulated.init_milliseconds:7.0f}  {first:8.0f}  {emulated.name}")


def _request(method: str, path: str) -> dict[str, Any]:
    body = {
        "POST": '{"name": "Smoke", "token_amount": 1, "price": "9.90"}'
        if path.rstrip("/") == BUNDLES
        else None,
        "PUT": '{"price": 5}',
        "PATCH": '{"price": 6}',
    }.get(method)
    headers = {"content-type": "application/json"} if body else {}
    return event(method, path, body=body, headers=headers, claims=CLAIMS)
