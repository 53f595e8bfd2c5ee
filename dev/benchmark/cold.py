"""A new environment: what importing a function and answering its first request takes."""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from math import nan
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import trustme
from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.forwarder import Forwarder
from dev.benchmark.requests import TEMPLATE
from dev.local import ROOT
from dev.openapi import COMMITTED
from dev.sample_events import sample_events

CHILD = """
import time
began = time.process_time()
import json, sys
{work}
print(time.process_time() - began, file=sys.stderr)
"""
FLOOR = "import pg8000, pydantic"
FUNCTION = """
import importlib
answer = importlib.import_module({module!r}).handler(json.load(sys.stdin), None)
assert answer["statusCode"] in {{200, 201, 404, 409}}, answer
"""
COUNTERS = (
    ("perf", "stat", "-e", "instructions:u"),
    ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
)
COUNTED = re.compile(r"([\d,]+) +instructions|I +refs: +([\d,]+)")


class Start(NamedTuple):
    """What a new process does, what it reads, and where."""

    work: str
    event: dict[str, Any]
    environment: dict[str, str]


def measure(database_url: str, scratch: Path, times: int, progress: Progress) -> Figures:
    """Take CPU seconds, and instructions where they can be counted, of new processes with byte code."""
    starts = _starts(database_url, scratch)
    seconds: dict[str, list[float]] = {name: [] for name in starts}
    # One more, in which the byte code is written.
    for _ in progress.track(range(1 + times), description="Cold starts"):
        for name, start in starts.items():
            seconds[name].append(float(_run(start).splitlines()[-1]))
    # Unlike time, instructions are the same for two at once.
    with ThreadPoolExecutor(os.cpu_count()) as processors:
        counting = processors.map(_instructions, starts.values())
        counted = progress.track(counting, total=len(starts), description="Instructions")
        millions = dict(zip(starts, counted, strict=True))
    milliseconds = {name: median(taken[1:]) * 1000 for name, taken in seconds.items()}
    return {
        name: {
            "CPU, ms": milliseconds[name],
            "CPU / floor": milliseconds[name] / milliseconds["floor"],
            "instructions, millions": millions[name],
            "instructions / floor": millions[name] / millions["floor"],
        }
        for name in starts
    }


def _starts(database_url: str, scratch: Path) -> dict[str, Start]:
    environment = {
        "PATH": os.defpath,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(TEMPLATE.code_folder)]),
        "PYTHONPYCACHEPREFIX": str(scratch / "byte-code"),
        # Sets are searched in the same order each time, so that instructions are the same, too.
        "PYTHONHASHSEED": "0",
        "AWS_LAMBDA_FUNCTION_NAME": "benchmark",
        "DATABASE_URL": database_url,
    }
    starts = {"floor": Start(FLOOR, {}, environment)}
    for module, event in sample_events(json.loads(COMMITTED.read_text())).items():
        starts[module] = Start(FUNCTION.format(module=module), event, environment)
    peer = FUNCTION.format(module="dev.benchmark.peer")
    starts["peer"] = starts["list_token_bundles"]._replace(work=peer)
    authority, authority_file = trustme.CA(), scratch / "authority.pem"
    authority.cert_pem.write_to_path(authority_file)
    encrypted = Forwarder(database_url, authority.issue_cert("127.0.0.1"))
    tls = {
        "DATABASE_URL": f"{encrypted.url}?sslmode=verify-full",
        "DATABASE_CA_FILE": str(authority_file),
    }
    starts["get_token_bundle, TLS"] = starts["get_token_bundle"]._replace(environment=environment | tls)
    return starts


def _run(start: Start, *counter: str) -> str:
    child = subprocess.run(
        [*counter, sys.executable, "-c", CHILD.format(work=start.work)],
        env=start.environment,
        input=json.dumps(start.event),
        capture_output=True,
        text=True,
        check=False,
    )
    if child.returncode:
        raise ChildProcessError(child.stderr)
    return child.stderr


def _instructions(start: Start) -> float:
    """Count millions of them with the processor where it is allowed to, else with valgrind."""
    for name, *options in COUNTERS:
        counter = shutil.which(name)
        if counter and (counted := COUNTED.search(_run(start, counter, *options))):
            return int(counted[counted.lastindex or 0].replace(",", "")) / 1e6
    return nan
