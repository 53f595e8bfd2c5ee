"""How the routes bear large tables."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import pg8000.native
from sqlalchemy import make_url

from dev.benchmark.contenders import Functions, Request
from dev.benchmark.warm import NEW, Advance, use_database
from dev.database.postgres import postgres
from tests.client import BUNDLES

SIZES = (1_000, 100_000, 1_000_000)
MIN_TIMES, MAX_TIMES, SECONDS = 5, 150, 0.5
# Enough bundles of each name and place that the order is decided by all of its keys.
FILL = """
    INSERT INTO token_bundle (name, description, token_amount, price, sort_order, is_active)
    SELECT 'Bundle ' || n, 'One of many.', n % 1000 + 1, n % 500 + 0.5, n % 100, n % 10 <> 0
    FROM generate_series({first}, {last}) n
"""
HISTORY = """
    INSERT INTO token_bundle_change (bundle_id, version, action, bundle)
    SELECT id, version, 'created', to_jsonb(token_bundle) FROM token_bundle
    WHERE NOT EXISTS (SELECT FROM token_bundle_change WHERE bundle_id = id)
"""


def measure(scratch: Path, advance: Advance) -> dict[str, dict[str, float]]:
    """Time requests of ours in microseconds, the median of several, at each size."""
    results: dict[str, dict[str, float]] = {}
    with postgres(scratch / "growth", durable=False) as url:
        previous = os.environ["DATABASE_URL"]
        use_database(url)
        from dev.database.commands import migrate

        migrate("upgrade")
        for size, first in zip(SIZES, (1, *(size + 1 for size in SIZES[:-1])), strict=True):
            fill(url, first, size)
            results[f"{size:,}"] = {name: _time(request) for name, request in _requests(url, size)}
            advance()
        use_database(previous)
    return results


def fill(url: str, first: int, last: int) -> None:
    """Add numbered bundles, each with its entry in the history."""
    with _connected(url) as connection:
        connection.run(FILL.format(first=first, last=last))
        connection.run(HISTORY)
        connection.run("VACUUM ANALYZE token_bundle, token_bundle_change")
        # So that nothing of this is still going on while others are timed.
        connection.run("CHECKPOINT")


def _requests(url: str, size: int) -> Iterator[tuple[str, Request]]:
    with _connected(url) as connection:
        ((bundle_id,),) = connection.run("SELECT id FROM token_bundle LIMIT 1")
    bundle, last = f"{BUNDLES}/{bundle_id}", str(size // 20)
    # What is quick comes first: a search of everything leaves the processor's caches full of others' rows.
    yield "GET one", Request("GET", bundle)
    yield "GET history", Request("GET", f"{bundle}/history")
    yield "POST", Request("POST", BUNDLES, NEW)
    yield "list, first page", Request("GET", BUNDLES)
    yield "list, last page", Request("GET", BUNDLES, query={"page": last})
    yield "list, first page with q", Request("GET", BUNDLES, query={"q": "le 77"})
    yield "list, last page with q", Request("GET", BUNDLES, query={"q": "e", "page": last})


def _time(request: Request) -> float:
    functions = Functions()
    times: list[float] = []
    end = time.monotonic() + SECONDS
    while len(times) < MIN_TIMES or (len(times) < MAX_TIMES and time.monotonic() < end):
        sample = functions.ask(request)
        assert sample.status in {200, 201}, sample  # noqa: S101 - it would measure errors
        times.append(sample.wall)
    return median(times) * 1e6


def _connected(url: str) -> pg8000.native.Connection:
    parts = make_url(url)
    return pg8000.native.Connection(
        parts.username or "", host=parts.host, port=parts.port, database=parts.database, ssl_context=False
    )
