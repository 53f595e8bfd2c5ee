"""`python -m dev.benchmark`: about five minutes, a table, and all figures in a JSON file."""

import argparse
import contextlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TaskID
from rich.table import Table

from dev.benchmark import artifact, cold, growth, throughput, warm
from dev.database.commands import migrate
from dev.database.postgres import postgres
from dev.local import folder
from tests.client import BUNDLES

BUNDLES_IN_TABLE = 1_000
BLOCKS = 12
STARTS = 9
MEMORY_MEGABYTES = 512
A_MILLION = 1_000_000
WIDTH = 120

Results = dict[str, Any]


def main() -> None:
    """Measure, print and write."""
    arguments = _arguments()
    console = Console(file=sys.stdout, width=WIDTH)
    # The functions write log lines and metrics, as is their work; here nobody reads them.
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stdout(nowhere):
        results = _measure(console)
    results["bill"] = _bill(results["warm"], arguments)
    for table in _tables(results):
        console.print(table)
    output = folder() / "benchmark.json"
    output.write_text(json.dumps(results, indent=2) + "\n")
    console.print(f"All figures: {output}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m dev.benchmark", description=__doc__)
    parser.add_argument("--gigabyte-second", type=float, default=0.0000133334, help="its price in dollars")
    parser.add_argument("--million-requests", type=float, default=0.20, help="their price in dollars")
    parser.add_argument("--memory", type=int, default=MEMORY_MEGABYTES, help="of a function, in MB")
    return parser.parse_args()


def _measure(console: Console) -> Results:
    steps = {
        "Routes": len(warm.NAMES),
        "Cold starts": 10 * (STARTS + 1),
        "Emulator": 8,
        "Growth": len(growth.SIZES),
        "Servers": len(throughput.WORKERS),
    }
    with (
        tempfile.TemporaryDirectory() as scratch,
        Progress(console=console) as progress,
        _bundles(Path(scratch)),
    ):
        url = os.environ["DATABASE_URL"]
        tasks = {name: progress.add_task(name, total=total) for name, total in steps.items()}

        def advance(name: str) -> warm.Advance:
            task: TaskID = tasks[name]
            return lambda: progress.advance(task)

        path = Path(scratch)
        return {
            "when": datetime.now(UTC).isoformat(timespec="seconds"),
            "python": platform.python_version(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "sizes": artifact.sizes(),
            "round trips": warm.count_round_trips(url),
            "warm": warm.time_routes(url, BLOCKS, advance("Routes")),
            "cold": cold.measure(url, path, STARTS, advance("Cold starts")),
            "init": artifact.init_milliseconds(url, path, advance("Emulator")),
            "growth": growth.measure(path, advance("Growth")),
            "throughput": throughput.measure(url, BUNDLES, advance("Servers")),
        }


@contextlib.contextmanager
def _bundles(scratch: Path) -> Iterator[None]:
    with postgres(scratch / "bundles") as url:
        os.environ["DATABASE_URL"] = url
        migrate("upgrade")
        growth.fill(url, 1, BUNDLES_IN_TABLE)
        yield


def _bill(routes: Results, arguments: argparse.Namespace) -> dict[str, dict[str, float]]:
    """What a million requests cost in dollars; Lambda bills whole milliseconds."""
    bill: dict[str, dict[str, float]] = {}
    for name, contenders in routes.items():
        bill[name] = {}
        for who in ("ours", "peer"):
            billed_seconds = -(-contenders[who]["wall"] // 1000) / 1000
            gigabyte_seconds = billed_seconds * arguments.memory / 1024 * A_MILLION
            bill[name][who] = gigabyte_seconds * arguments.gigabyte_second + arguments.million_requests
    return bill


def _tables(results: Results) -> Iterator[Table]:
    routes = _table(
        "A warm request: microseconds, and how many times the speed limit",
        [
            "route",
            "round trips",
            "ours",
            "quartiles",
            "limit",
            "ours/limit",
            "peer/limit",
            "CPU ours",
            "CPU peer/ours",
        ],
    )
    for name, by in results["warm"].items():
        ours, limit, peer = by["ours"], by["limit"], by["peer"]
        low, _, high = ours["wall_quartiles"]
        routes.add_row(
            name,
            str(results["round trips"][name]),
            f"{ours['wall']:.0f}",
            f"{low:.0f}-{high:.0f}",
            f"{limit['wall']:.0f}",
            f"{ours['wall'] / limit['wall']:.1f}x",
            f"{peer['wall'] / limit['wall']:.1f}x",
            f"{ours['cpu']:.0f}",
            f"{peer['cpu'] / ours['cpu']:.1f}x",
        )
    yield routes
    floor = results["cold"]["floor"]
    starts = _table(
        f"A cold start, import and first request; {results['round trips']['first GET']} round trips",
        [
            "what",
            "CPU ms",
            "of the floor",
            "million instructions",
            "of the floor",
            "init ms, with / without byte code",
        ],
    )
    for name, taken in results["cold"].items():
        counted = taken["instructions"]
        init = results["init"].get("".join(part.title() for part in name.split("_")), {})
        starts.add_row(
            name,
            f"{taken['cpu'] * 1000:.0f}",
            f"{taken['cpu'] / floor['cpu']:.1f}x",
            f"{counted / A_MILLION:,.0f}" if counted else "not counted here",
            f"{counted / floor['instructions']:.2f}x" if counted else "",
            " / ".join(f"{milliseconds:.0f}" for milliseconds in init.values()),
        )
    yield starts
    sizes = list(results["growth"])
    grown = _table("Growth: milliseconds, by bundles in the table", ["route", *sizes, "last/first"])
    for name in results["growth"][sizes[0]]:
        taken = [results["growth"][size][name] / 1000 for size in sizes]
        grown.add_row(name, *(f"{value:.2f}" for value in taken), f"{taken[-1] / taken[0]:.1f}x")
    yield grown
    served = _table(
        f"Pages of 20 a second, {throughput.CLIENTS} clients", ["workers", "ours", "peer", "ours/peer"]
    )
    for workers, by in results["throughput"].items():
        served.add_row(workers, f"{by['ours']:.0f}", f"{by['peer']:.0f}", f"{by['ours'] / by['peer']:.1f}x")
    yield served
    bill = _table("A million requests, in dollars", ["route", "ours", "peer"])
    for name, by in results["bill"].items():
        bill.add_row(name, f"{by['ours']:.2f}", f"{by['peer']:.2f}")
    yield bill
    kilobytes = _table("Artifacts, zipped", ["artifact", "kB"])
    for name, size in results["sizes"].items():
        kilobytes.add_row(name, f"{size / 1000:.0f}")
    yield kilobytes


def _table(title: str, columns: list[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left")
    return table


if __name__ == "__main__":
    main()
