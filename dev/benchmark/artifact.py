"""What is deployed: its sizes, and how long the emulator of Lambda's runtime needs to start it."""

import subprocess
from pathlib import Path
from statistics import median

from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.requests import TEMPLATE
from dev.emulator import BUILD, EMULATOR, files, running, zipped
from dev.gateway.template import Function
from dev.local import ROOT

STARTS = 5


def sizes() -> Figures:
    """Measure each artifact, zipped."""
    return {folder.name: {"kB": zipped(files(folder)) / 1000} for folder in sorted(BUILD.glob("*/"))}


def init(database_url: str, scratch: Path, progress: Progress) -> Figures:
    """Start each function with byte code, and one without, where there is an emulator."""
    if not EMULATOR:
        return {}
    bare = scratch / "without-byte-code"
    make = ["make", "build", "DEPLOYED_PYTHON=", f"BUILD={bare}"]
    subprocess.run(make, cwd=ROOT, check=True, capture_output=True)

    def milliseconds(function: Function, build: Path) -> float:
        taken = []
        for _ in range(STARTS):
            with running(function.name, function.handler, database_url, scratch, build) as started:
                started.invoke({"requestContext": {}})
                taken.append(started.init_milliseconds)
        return median(taken)

    functions = sorted({route.function for route in TEMPLATE.routes}, key=lambda function: function.name)
    rows = {
        function.name: {"with byte code": milliseconds(function, BUILD)}
        for function in progress.track(functions, description="Emulator")
    }
    rows[functions[0].name]["without"] = milliseconds(functions[0], bare)
    return rows
