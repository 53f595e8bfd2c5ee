"""A new environment: what importing a function and answering its first request takes."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

from dev.benchmark.warm import Advance
from dev.local import ROOT
from tests.client import TEMPLATE, Context

FLOOR = "import pg8000, pydantic"
FUNCTION = """
import importlib
handler = importlib.import_module({module!r}).handler
answer = handler(event, None)
assert answer["statusCode"] in {{200, 201, 404}}, answer
"""
PEER = """
import asyncio
from dev.benchmark.peer import BUNDLES, app
sent = []
async def receive():
    return {"type": "http.request", "body": b""}
async def send(message):
    sent.append(message)
claims = {"sub": "benchmark", "scope": "token-bundles:read"}
scope = {"type": "http", "method": "GET", "path": BUNDLES, "query_string": b"", "headers": []}
scope["claims"] = claims
asyncio.run(app(scope, receive, send))
assert sent[0]["status"] == 200, sent
"""
CHILD = """
import time
began = time.process_time()
import json, sys
event = json.load(sys.stdin)
{work}
import sys as _sys
print(json.dumps(time.process_time() - began), file=_sys.stderr)
"""


def measure(database_url: str, scratch: Path, times: int, advance: Advance) -> dict[str, dict[str, Any]]:
    """Take CPU seconds, and instructions where they can be counted, of new processes with byte code."""
    modules = sorted({route.function.module for route in TEMPLATE.routes})
    works = {"floor": FLOOR, "peer": PEER} | {module: FUNCTION.format(module=module) for module in modules}
    run = _Runner(database_url, scratch)
    for name, work in works.items():
        run.cpu(name, work)
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(times):
        for name, work in works.items():
            seconds[name].append(run.cpu(name, work))
            advance()
    results: dict[str, dict[str, Any]] = {}
    for name, work in works.items():
        results[name] = {"cpu": median(seconds[name]), "instructions": run.instructions(name, work)}
        advance()
    return results


class _Runner:
    def __init__(self, database_url: str, scratch: Path) -> None:
        self.environment = {
            "PATH": os.defpath,
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "functions")]),
            "PYTHONPYCACHEPREFIX": str(scratch / "byte-code"),
            # Sets are searched in the same order each time, so that instructions are the same, too.
            "PYTHONHASHSEED": "0",
            "DATABASE_URL": database_url,
            "AWS_LAMBDA_FUNCTION_NAME": Context().function_name,
        }
        self.counter = _instruction_counter()

    def cpu(self, name: str, work: str) -> float:
        return float(self._run(name, work).stderr.splitlines()[-1])

    def instructions(self, name: str, work: str) -> int | None:
        if self.counter is None:
            return None
        found = re.findall(
            r"I +refs: +([\d,]+)|([\d,]+) +instructions", self._run(name, work, self.counter).stderr
        )
        return int("".join(found[-1]).replace(",", ""))

    def _run(self, name: str, work: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        event = ROOT / f"tests/events/{name}.json"
        return subprocess.run(
            [*prefix, sys.executable, "-c", CHILD.format(work=work)],
            env=self.environment,
            input=event.read_text() if event.exists() else json.dumps({"requestContext": {"http": {}}}),
            capture_output=True,
            text=True,
            check=True,
        )


def _instruction_counter() -> tuple[str, ...] | None:
    """Find what counts instructions: the processor where it is allowed to, else valgrind."""
    if perf := shutil.which("perf"):
        command = (perf, "stat", "-e", "instructions:u")
        tried = subprocess.run([*command, "true"], capture_output=True, text=True, check=False)
        if tried.returncode == 0 and "not supported" not in tried.stderr:
            return command
    if valgrind := shutil.which("valgrind"):
        return (valgrind, "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
    return None
