"""Imports of a thousand rows that fill a body: their time, and the memory of the environment."""

import csv
import io
import multiprocessing
import resource
from concurrent.futures import ProcessPoolExecutor
from statistics import median

from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.growth import SIZES, fill
from dev.benchmark.many import LOOK
from dev.benchmark.requests import BUNDLES, Request, ask_ours

ROWS = 1000
# So that all of them are nearly a mebibyte.
DESCRIPTION = 1000 * "x"
PATH = f"{BUNDLES}/import"
KIBIBYTES_A_MEGABYTE = 1000 / 1.024


def measure(database_url: str, times: int, progress: Progress) -> Figures:
    """Create, look at, change and leave alone a thousand bundles, each time in a new environment."""
    taken: dict[str, list[dict[str, float]]] = {}
    for _ in progress.track(range(times), description="Imports"):
        fill(database_url, SIZES[0])
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as environment:
            for name, figures in environment.submit(_import_all).result().items():
                taken.setdefault(name, []).append(figures)
    return {
        name: {column: median(one[column] for one in all_) for column in all_[0]}
        for name, all_ in taken.items()
    }


def _import_all() -> Figures:
    new, changed = (
        Request("POST", PATH, _table(price), headers={"content-type": "text/csv"})
        for price in ("1.50", "2.50")
    )
    # What a new environment imports is measured elsewhere.
    ask_ours(Request("GET"))
    steps = {
        "created": new,
        "updated, looked at": changed._replace(query=LOOK),
        "updated": changed,
        "unchanged": changed,
    }
    return {name: _figures(request) for name, request in steps.items()}


def _figures(request: Request) -> dict[str, float]:
    sample = ask_ours(request)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / KIBIBYTES_A_MEGABYTE
    return {"ms": sample.wall / 1000, "CPU, ms": sample.cpu / 1000, "MB so far": most}


def _table(price: str) -> str:
    file = io.StringIO()
    writer = csv.writer(file)
    writer.writerow(["code", "name", "description", "token_amount", "price"])
    writer.writerows([f"code-{row}", f"Bundle {row}", DESCRIPTION, 1000, price] for row in range(ROWS))
    return file.getvalue()
