"""What is deployed: its sizes, and how long the emulator of Lambda's runtime needs to start it."""

from pathlib import Path
from statistics import median

from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.requests import TEMPLATE
from dev.emulator import BUILD, EMULATOR, files, running, zipped

STARTS = 5


def sizes() -> Figures:
    """Measure each artifact, zipped."""
    return {folder.name: {"kB": zipped(files(folder)) / 1000} for folder in sorted(BUILD.glob("*/"))}


def init(database_url: str, scratch: Path, progress: Progress) -> Figures:
    """Start each function several times, where there is an emulator."""
    functions = sorted({route.function for route in TEMPLATE.routes}, key=lambda function: function.name)
    rows = {}
    for function in progress.track(functions if EMULATOR else [], description="Emulator"):
        taken = []
        for _ in range(STARTS):
            with running(function.name, function.handler, database_url, scratch) as started:
                started.invoke({"requestContext": {}})
                taken.append(started.init_milliseconds)
        rows[function.name] = {"median": median(taken)}
    return rows
