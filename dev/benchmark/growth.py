"""How the routes bear large tables."""

import time
from statistics import median

import psycopg
from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.requests import BUNDLES, NEW, Request, ask_ours

SIZES = (1_000, 100_000, 1_000_000)
MIN_TIMES, MAX_TIMES, SECONDS = 5, 150, 0.5
# Enough bundles of each name and place that the order is decided by all of its keys.
FILL = (
    # What keeps the history complete would look at each bundle, and does not let go of any.
    "SET session_replication_role = replica",
    "TRUNCATE token_bundle, token_bundle_change, token_bundle_idempotency_key",
    """
    INSERT INTO token_bundle (name, description, token_amount, price, sort_order, is_active,
        name_folded, name_when_folded)
    SELECT 'Bundle ' || n, 'One of many.', n % 1000 + 1, n % 500 + 0.5, n % 100, n % 10 <> 0,
        'bundle ' || n, 'Bundle ' || n
    FROM generate_series(1, {size}) n
    """,
    """
    INSERT INTO token_bundle_change (bundle_id, version, action, bundle)
    SELECT id, version, 'created', to_jsonb(token_bundle) FROM token_bundle
    """,
    "RESET session_replication_role",
    "VACUUM ANALYZE token_bundle, token_bundle_change",
    # So that nothing of this is still going on while others are timed.
    "CHECKPOINT",
)


def measure(database_url: str, progress: Progress) -> Figures:
    """Time requests of ours at each size."""
    rows: Figures = {}
    for size in progress.track(SIZES, description="Growth"):
        bundle_id = fill(database_url, size)
        for name, request in _requests(bundle_id, size).items():
            rows.setdefault(name, {})[f"{size:,}"] = _milliseconds(request)
    for row in rows.values():
        first, *_, last = row.values()
        row["last / first"] = last / first
    return rows


def fill(database_url: str, size: int) -> str:
    """Have so many bundles, each with its entry in the history, and return the id of one."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        for statement in FILL:
            connection.execute(statement.format(size=size).encode())
        return str(*connection.execute("SELECT id FROM token_bundle LIMIT 1").fetchone() or ())


def _requests(bundle_id: str, size: int) -> dict[str, Request]:
    bundle, last = f"{BUNDLES}/{bundle_id}", str(size // 20)
    # What is quick comes first: a search of everything leaves the processor's caches full of others' rows.
    return {
        "GET one": Request("GET", bundle),
        "GET history": Request("GET", f"{bundle}/history"),
        "POST": Request("POST", body=NEW),
        "list, first page": Request("GET"),
        "list, last page": Request("GET", query={"page": last}),
        "list, first page with q": Request("GET", query={"q": "le 77"}),
        "list, last page with q": Request("GET", query={"q": "e", "page": last}),
    }


def _milliseconds(request: Request) -> float:
    times: list[float] = []
    end = time.monotonic() + SECONDS
    while len(times) < MIN_TIMES or (len(times) < MAX_TIMES and time.monotonic() < end):
        times.append(ask_ours(request).wall)
    return median(times) / 1000
