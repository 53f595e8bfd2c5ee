"""A warm environment: what each route takes, and how often it waits for the database."""

import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from statistics import mean, quantiles
from unittest.mock import patch

from rich.progress import Progress

from dev.benchmark import Figures, limit
from dev.benchmark.forwarder import Forwarder
from dev.benchmark.requests import Ask, Request, Sample, ask_ours, asking, requests

# They take turns in blocks: request by request each would find the processor's caches full of another.
BLOCK = 25
WARM_UP_BLOCKS = 6


def measure(database_url: str, blocks: int, progress: Progress) -> Figures:
    """Time each route of each in turn."""
    round_trips = _round_trips(database_url)
    asked = [(ask, requests(ask)) for ask in ours_limit_and_peer(database_url)]
    return {
        name: {
            "round trips": round_trips[name],
            **compared(blocks, [(ask, routes[name]) for ask, routes in asked]),
        }
        for name in progress.track(round_trips, description="Warm requests")
    }


def ours_limit_and_peer(database_url: str) -> tuple[Ask, Ask, Ask]:
    """Return how to ask each of them."""
    from dev.benchmark import peer

    limits = limit.handlers(database_url)
    return ask_ours, asking(lambda function: limits[function.module]), asking(lambda _: peer.handler)


def compared(blocks: int, asked: Sequence[tuple[Ask, Callable[[], Request]]]) -> dict[str, float]:
    """Time the same requests of ours, the limit and the peer in turn."""
    samples: tuple[list[Sample], ...] = ([], [], [])
    for _ in range(WARM_UP_BLOCKS + blocks):
        for taken, (ask, prepare) in zip(samples, asked, strict=True):
            taken += [ask(prepare()) for _ in range(BLOCK)]
    return _summed_up(*(taken[WARM_UP_BLOCKS * BLOCK :] for taken in samples))


def _summed_up(ours: list[Sample], limit: list[Sample], peer: list[Sample]) -> dict[str, float]:
    walls = [quantiles(sample.wall for sample in samples) for samples in (ours, limit, peer)]
    cpus = [mean(sample.cpu for sample in samples) for samples in (ours, limit, peer)]
    return {
        "ours": walls[0][1],
        "1st quartile": walls[0][0],
        "3rd quartile": walls[0][2],
        "ours / limit": walls[0][1] / walls[1][1],
        "peer / limit": walls[2][1] / walls[1][1],
        "CPU, ours": cpus[0],
        "CPU, peer / ours": cpus[2] / cpus[0],
    }


def _round_trips(database_url: str) -> dict[str, int]:
    """Count at the socket how often each route of ours waits for the database."""
    forwarder = Forwarder(database_url)
    new_process = multiprocessing.get_context("spawn")
    with patch.dict(os.environ, DATABASE_URL=forwarder.url), ProcessPoolExecutor(1, new_process) as functions:
        counts = {}
        for name, request in requests(lambda request: functions.submit(ask_ours, request).result()).items():
            prepared, before = request(), forwarder.round_trips
            functions.submit(ask_ours, prepared).result()
            counts[name] = forwarder.round_trips - before
        return counts
