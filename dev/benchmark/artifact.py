"""What is deployed: its sizes, and how long the emulator of Lambda's runtime needs to start it."""

import subprocess
from pathlib import Path
from statistics import median

from dev.benchmark.warm import Advance
from dev.local import ROOT
from tests.client import TEMPLATE
from tests.smoke.artifact import BUILD, EMULATOR, files, running, zipped

STARTS = 5


def sizes() -> dict[str, int]:
    """Count the bytes of each artifact, zipped."""
    return {folder.name: zipped(files(folder)) for folder in sorted(BUILD.iterdir()) if folder.is_dir()}


def init_milliseconds(database_url: str, scratch: Path, advance: Advance) -> dict[str, dict[str, float]]:
    """Start each function several times with byte code, and one without, where there is an emulator."""
    if not EMULATOR:
        return {}
    functions = sorted({route.function for route in TEMPLATE.routes}, key=lambda function: function.name)
    without = scratch / "without-byte-code"
    subprocess.run(
        ["make", "build", "DEPLOYED_PYTHON=", f"BUILD={without}"], cwd=ROOT, check=True, capture_output=True
    )
    results: dict[str, dict[str, float]] = {}
    for function in functions:
        builds = {"with": BUILD} | ({"without": without} if function is functions[0] else {})
        results[function.name] = {}
        for kind, build in builds.items():
            taken = []
            for _ in range(STARTS):
                with running(function.name, function.handler, database_url, scratch, build) as started:
                    assert "statusCode" in started.invoke({"requestContext": {}}), kind  # noqa: S101 - as elsewhere
                    taken.append(started.init_milliseconds)
            results[function.name][kind] = median(taken)
        advance()
    return results
