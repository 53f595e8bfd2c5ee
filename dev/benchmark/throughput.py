"""Whole servers under load: the local gateway with our functions, and the peer under uvicorn."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from http.client import HTTPConnection

import httpx
from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.requests import BUNDLES
from dev.database.postgres import free_port
from dev.gateway.tokens import issue_token
from dev.local import ROOT

WORKERS = (1, 2, 4)
CLIENTS = 8
SECONDS = 4.0
START_SECONDS = 60
CONNECT_ATTEMPTS = 8
OURS = ("dev", "serve", "--no-sample")
PEER = ("uvicorn", "dev.benchmark.peer:app", "--log-level=error")


def measure(progress: Progress, path: str = BUNDLES, *, knows: bool = False) -> Figures:
    """Count answers a second, for each number of workers, to clients that perhaps have what they ask for."""
    rows = {}
    for workers in progress.track(WORKERS, description="Servers"):
        ours, peer = (
            _answers_a_second(path, *module, f"--workers={workers}", knows=knows) for module in (OURS, PEER)
        )
        rows[str(workers)] = {"ours": ours, "peer": peer, "ours / peer": ours / peer}
    return rows


def _answers_a_second(path: str, *module: str, knows: bool) -> float:
    port = free_port()
    command = [sys.executable, "-m", *module, f"--port={port}"]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL) as server:
        try:
            connecting = httpx.HTTPTransport(retries=CONNECT_ATTEMPTS)
            with httpx.Client(transport=connecting, timeout=START_SECONDS) as client:
                first = client.get(f"http://127.0.0.1:{port}{path}")
            headers = {"Authorization": f"Bearer {issue_token()}"}
            if knows:
                headers["If-None-Match"] = first.headers["etag"]
            with ThreadPoolExecutor(CLIENTS) as clients:
                return sum(clients.map(partial(_answers, port, path), [headers] * CLIENTS)) / SECONDS
        finally:
            server.terminate()


def _answers(port: int, path: str, headers: dict[str, str]) -> int:
    # Quicker than httpx, because it shares the processor with the server.
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    answers, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        connection.request("GET", path, headers=headers)
        response = connection.getresponse()
        response.read()
        if response.status not in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}:
            raise ValueError(f"this would measure errors: {response.status}")
        answers += 1
    return answers
