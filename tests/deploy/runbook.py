"""The commands in docs/runbook.md."""

import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from dev.local import ROOT

RUNBOOK = (ROOT / "docs/runbook.md").read_text()


class Commands(NamedTuple):
    """A block of commands, the heading above it, and why only AWS can run it, if that is so."""

    heading: str
    text: str
    only_aws: str


def blocks() -> list[Commands]:
    """Read all blocks; the first has what the others use."""
    found = re.finditer(r"(?m)^#+ (.+)$|^ *```sh(?: only-aws: (.+))?\n((?:.*\n)*?) *```$", RUNBOOK)
    heading, commands = "", []
    for match in found:
        heading = match[1] or heading
        if match[3]:
            commands.append(Commands(heading, match[3], match[2] or ""))
    return commands


def run(commands: Commands, folder: Path, environment: Mapping[str, str]) -> str:
    """Run a block in a folder, after the first one, and return what it printed."""
    common, *_ = blocks()
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", f"{common.text}\n{commands.text}"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    # What fails within `$(…)` ends nothing.
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return done.stdout
