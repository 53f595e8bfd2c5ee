"""Whole servers under load: the local gateway with our functions, and the peer under uvicorn."""

import http.client
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from dev.benchmark.warm import Advance
from dev.database.postgres import free_port
from dev.gateway.tokens import issue_token
from dev.local import ROOT
from tests.client import BUNDLES

WORKERS = (1, 2, 4)
CLIENTS = 8
SECONDS = 4.0
START_SECONDS = 60
CLIENT = """
import http.client, json, sys, threading, time
port, path, token, clients, seconds = json.load(sys.stdin)
counts = [0] * clients
def ask(number):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        counts[number] += 1
threads = [threading.Thread(target=ask, args=[number]) for number in range(clients)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(sum(counts) / seconds)
"""


def measure(database_url: str, path: str, advance: Advance) -> dict[str, dict[str, float]]:
    """Count answers a second to `GET` of a path, for each number of workers."""
    results: dict[str, dict[str, float]] = {}
    for workers in WORKERS:
        port = free_port()
        number = str(workers)
        gateway = [
            sys.executable,
            "-m",
            "dev",
            "serve",
            "--no-sample",
            "--port",
            str(port),
            "--workers",
            number,
        ]
        uvicorn = [sys.executable, "-m", "uvicorn", "dev.benchmark.peer:app", "--log-level", "error"]
        results[number] = {}
        for name, command in {
            "ours": gateway,
            "peer": [*uvicorn, "--port", str(port), "--workers", number],
        }.items():
            with _serving(command, database_url, port):
                results[number][name] = _answers_a_second(port, path)
            advance()
    return results


@contextmanager
def _serving(command: Sequence[str], database_url: str, port: int) -> Iterator[None]:
    environment = {**os.environ, "DATABASE_URL": database_url}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as server:
        try:
            _wait_until_answering(port)
            yield
        finally:
            server.terminate()


def _wait_until_answering(port: int) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", BUNDLES)
            connection.getresponse().read()
            return
        time.sleep(0.1)
    raise TimeoutError(f"nothing answers on port {port}")


def _answers_a_second(port: int, path: str) -> float:
    question = json.dumps([port, path, issue_token(), CLIENTS, SECONDS])
    client = subprocess.run(
        [sys.executable, "-c", CLIENT], input=question, capture_output=True, text=True, check=True
    )
    return float(client.stdout)
