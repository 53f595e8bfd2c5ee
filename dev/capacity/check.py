"""One point of the simulation, compared with the running API: the local gateway under a bounded load."""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from random import Random
from statistics import quantiles
from typing import NamedTuple

import httpx

from dev.benchmark.growth import fill
from dev.benchmark.shop import CATALOGUE, SIZE
from dev.capacity.simulation import Limits, Times, percentile, poisson, simulate, spread
from dev.database import commands as database
from dev.database.postgres import free_port, postgres
from dev.local import ROOT

WORKERS, CLIENTS = 4, 32
MANY = 1500
SECONDS = 15.0
# Requests a second that do not meet.
ALONE = 20
# Of what the machine answers at most.
LOAD = 0.4
PERCENTILES = {"p50": 0.50, "p90": 0.90, "p99": 0.99}


class Comparison(NamedTuple):
    """At how many requests a second which percentiles were simulated and measured, in seconds."""

    rate: float
    rows: list[tuple[str, float, float]]


def compare(seed: int) -> Comparison:
    """Serve, measure requests one by one, then many that arrive at random, and simulate those."""
    port, random = free_port(), Random(seed)  # noqa: S311 - no secret
    command = [sys.executable, "-m", "dev", "serve", "--no-sample", f"--workers={WORKERS}", f"--port={port}"]
    with tempfile.TemporaryDirectory() as scratch, postgres(Path(scratch) / "data") as url:
        os.environ["DATABASE_URL"] = url
        database.migrate("upgrade")
        fill(url, SIZE)
        with subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as server:
            try:
                with httpx.Client(transport=httpx.HTTPTransport(retries=8), timeout=60) as client:
                    client.get(f"http://127.0.0.1:{port}{CATALOGUE}")
                _latencies(port, [0.0] * MANY, CLIENTS)
                # As far from each other as that they find everything asleep, as the others will.
                alone = list(poisson(ALONE, SECONDS, random))
                first, middle, third = quantiles(_latencies(port, alone, CLIENTS))
                began = time.monotonic()
                _latencies(port, [0.0] * MANY, CLIENTS)
                most = MANY / (time.monotonic() - began)
                rate = LOAD * most
                arrivals = list(poisson(rate, SECONDS, random))
                measured = sorted(_latencies(port, arrivals, CLIENTS))
            finally:
                server.terminate()
    # What keeps a processor busy, and what is only waited for.
    processors = os.cpu_count() or 1
    busy = min(middle, processors / most)
    times = Times(function=middle - busy, postgres=busy, cold=0, spread=spread(first, third))
    requests = ((now, "shop") for now in arrivals)
    outcome = simulate({"shop": (times, Limits())}, requests, processors, SECONDS, seed)
    rows = [
        (name, percentile(outcome.latencies, part), percentile(measured, part))
        for name, part in PERCENTILES.items()
    ]
    return Comparison(rate, rows)


def _latencies(port: int, arrivals: list[float], clients: int) -> list[float]:
    """Send requests when they arrive, or as soon as a client is free, and return what each has waited."""
    began = time.monotonic()

    def ask(arrival: float) -> float:
        time.sleep(max(0.0, began + arrival - time.monotonic()))
        due = began + arrival if arrival else time.monotonic()
        # A new one goes to a worker that is free.
        with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
            connection.request("GET", CATALOGUE)
            response = connection.getresponse()
            response.read()
        if response.status != HTTPStatus.OK:
            raise ValueError(f"this would measure errors: {response.status}")
        return time.monotonic() - due

    with ThreadPoolExecutor(clients) as pool:
        return list(pool.map(ask, arrivals))
