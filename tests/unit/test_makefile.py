"""What make says of its targets, and when something that one needs is missing."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.local import ROOT

# Not the jobs and variables of the make that runs the tests.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def make(*arguments: str, **environment: str) -> list[str]:
    """Run make in vain, and return what it said, less its own last line."""
    ended = subprocess.run(
        ["make", "--silent", *arguments],
        cwd=ROOT,
        env=ENVIRONMENT | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 2
    *said, failed = ended.stderr.splitlines()
    assert failed.startswith("make: *** ")
    return said


@pytest.fixture
def modules(tmp_path: Path) -> Path:
    """A folder whose modules go before Python's own."""
    folder = tmp_path / "modules"
    folder.mkdir()
    return folder


@pytest.fixture
def venv(tmp_path: Path) -> str:
    return f"VENV={tmp_path / 'venv'}"


def test_plain_make_lists_every_target_that_the_documents_mention() -> None:
    said = subprocess.run(["make", "--silent"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    listed = {line.split(maxsplit=1)[0] for line in said.splitlines()}
    documents = "".join(path.read_text() for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
    mentioned = {name for names in re.findall(r"`make ([a-z -]+)`", documents) for name in names.split()}
    assert mentioned > {"dev", "test", "deploy"}
    assert mentioned - listed == set()


def test_no_python(venv: str) -> None:
    assert make("lint", venv, "PYTHON=no-python") == [
        "no-python is not Python 3.11 or newer: install that, or say where it is with PYTHON=… after make."
    ]


def test_an_old_python(venv: str, modules: Path) -> None:
    (modules / "sitecustomize.py").write_text("import sys\nsys.version_info = (3, 10, 9, 'final', 0)\n")

    said = make("lint", venv, f"PYTHON={sys.executable}", PYTHONPATH=str(modules))

    assert [line for line in said if "not Python 3.11 or newer: install that" in line] == said[-1:]


def test_no_venv_module(venv: str, modules: Path) -> None:
    (modules / "ensurepip.py").write_text("raise ImportError")

    (said,) = make("lint", venv, f"PYTHON={sys.executable}", PYTHONPATH=str(modules))

    assert said.endswith(
        "has no venv module: install it, on Debian and Ubuntu with the package python3-venv."
    )


def test_no_deployed_python() -> None:
    assert make("smoke", "DEPLOYED_PYTHON=") == [
        "There is no Python 3.13 here: put python3.13 with its venv module on the PATH."
    ]


def test_no_parameters() -> None:
    assert make("deploy", "PARAMETERS=no-parameters.yaml") == [
        "There is no no-parameters.yaml: docs/runbook.md says what to write into it."
    ]


def test_what_is_deployed_is_what_was_built() -> None:
    command = ["make", "--dry-run", "--assume-old=parameters-needed", "deploy", "BUILD=a folder"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert 'sam build --build-dir "a folder"' in printed
    assert 'sam deploy --template-file "a folder/template.yaml"' in printed


def test_no_graphviz() -> None:
    assert make("--always-make", "picture", "DOT=no-dot") == [
        "Graphviz is missing: install the package graphviz."
    ]


def test_no_node() -> None:
    assert make("--always-make", "lint-openapi", "NPM=no-npm") == [
        "There is no no-npm here: install Node.js 20.19 or newer."
    ]


def test_what_is_installed_in_a_checkout_that_was_moved_is_installed_anew(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    for made_in, remains in ((tmp_path, True), ("/elsewhere", False)):
        (tmp_path / ".venv").mkdir(exist_ok=True)
        (tmp_path / ".venv/.serve-synced").write_text(f"{made_in}\n")
        command = ["make", "--no-print-directory", "VENV=.venv"]
        said = subprocess.run(
            command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=True
        ).stdout
        assert (tmp_path / ".venv").exists() is remains
        assert said.startswith("This checkout has been moved: ") is not remains
