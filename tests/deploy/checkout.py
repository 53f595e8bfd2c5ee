"""A copy of this checkout, to be changed and deployed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from dev.local import ROOT
from tests.deploy.account import Account

FOLDERS = ("functions", "shared", "migrations", "dev", "docs")
FILES = ("template.yaml", "samconfig.toml", "Makefile", "pyproject.toml", "uv.lock")
# Of the make that runs the tests, and of another account.
NOT_INHERITED = ("ARCHITECTURE", "AWS_", "BUILD", "MAKE", "VENV")
# With metric math, which the emulator does not know.
LEFT_OUT = "ServerErrorAlarm"


class Checkout:
    """What a deployment is made from, in a folder of its own."""

    def __init__(self, folder: Path, parameters: dict[str, str]) -> None:
        self.folder = folder
        for name in FOLDERS:
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        for name in FILES:
            shutil.copy2(ROOT / name, folder)
        # By links, because make takes no path that has a blank in it.
        for name, tools in {".venv": Path(sys.prefix), ".venv-sam": ROOT / ".venv-sam"}.items():
            (folder / name).symlink_to(tools)
        self.add("parameters.yaml", "".join(f"{name}: {value}\n" for name, value in parameters.items()))
        template = folder / "template.yaml"
        resource = rf"(?m)^  {LEFT_OUT}:\n(?:(?:    .*)?\n)+|^.*!GetAtt {LEFT_OUT}\.Arn\n"
        template.write_text(re.sub(resource, "", template.read_text()))

    def add(self, path: str, text: str) -> None:
        """Add lines to a file, which need not be there yet."""
        with (self.folder / path).open("a") as file:
            file.write(text)

    def deploy(self, account: Account) -> subprocess.CompletedProcess[str]:
        """Run `make deploy`, with the tools that this checkout has."""
        others = {name: value for name, value in os.environ.items() if not name.startswith(NOT_INHERITED)}
        return subprocess.run(
            ["make", "deploy"],
            cwd=self.folder,
            env=others | account.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
