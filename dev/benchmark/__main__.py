"""`python -m dev.benchmark`: about three minutes, tables, and all figures in a JSON file."""

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from dev.benchmark import Figures, artifact, cold, growth, imports, many, shop, throughput, warm
from dev.database import commands as database
from dev.database.postgres import postgres
from dev.local import folder


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(prog="python -m dev.benchmark", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="only requests and cold starts, in a minute")
    quick = parser.parse_args().quick
    console = Console(file=os.fdopen(os.dup(sys.stdout.fileno()), "w"), width=120)
    # The functions write log lines and metrics, as is their work; here nobody reads them.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    with (
        tempfile.TemporaryDirectory() as scratch,
        postgres(Path(scratch) / "data") as url,
        Progress(console=console) as progress,
    ):
        os.environ["DATABASE_URL"] = url
        database.migrate("upgrade")
        growth.fill(url, growth.SIZES[0])
        figures = dict(_measure(url, Path(scratch), progress, quick=quick))
    for title, rows in figures.items():
        console.print(_table(title, rows))
    about = {
        "when": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
    }
    output = folder() / "benchmark.json"
    output.parent.mkdir(mode=0o700, exist_ok=True)
    output.write_text(json.dumps(about | figures, indent=2) + "\n")
    console.print(f"All figures: {output}")


def _measure(url: str, scratch: Path, progress: Progress, *, quick: bool) -> Iterator[tuple[str, Figures]]:
    yield "A warm request, in microseconds", warm.measure(url, 2 if quick else 12, progress)
    yield (
        "Many at once, and only looked at, in microseconds",
        many.measure(url, 20 if quick else 200, progress),
    )
    yield "The shop, in microseconds", shop.measure(url, 2 if quick else 12, progress)
    yield "Imports of 1,000 rows and 1 MiB", imports.measure(url, 1 if quick else 5, progress)
    growth.fill(url, shop.SIZE)
    yield "A cold start and its first request", cold.measure(url, scratch, 1 if quick else 9, progress)
    yield "Artifacts, zipped", artifact.sizes()
    if not quick:
        yield "Init in the emulator, in milliseconds", artifact.init(url, scratch, progress)
        yield (
            f"Pages of 20 a second for {throughput.CLIENTS} clients, by workers",
            throughput.measure(progress),
        )
        yield (
            f"The shop's 100 bundles, times a second for {throughput.CLIENTS} clients, by workers",
            throughput.measure(progress, shop.CATALOGUE),
        )
        yield "The same, not modified", throughput.measure(progress, shop.CATALOGUE, knows=True)
        yield "Milliseconds, by bundles in the table", growth.measure(url, progress)


def _table(title: str, rows: Figures) -> Table:
    columns = dict.fromkeys(column for figures in rows.values() for column in figures)
    table = Table("", title=title, title_justify="left")
    for column in columns:
        table.add_column(column, justify="right")
    for name, figures in rows.items():
        table.add_row(name, *(f"{figures[column]:,.4g}" if column in figures else "" for column in columns))
    return table


if __name__ == "__main__":
    main()
