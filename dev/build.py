"""Builds what runs in Lambda, the layer or a function: `python -m dev.build SharedLayer FOLDER`."""

import argparse
import hashlib
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from dev.local import ROOT, TEMPLATE

PLATFORMS = {"arm64": "aarch64-manylinux2014", "x86_64": "x86_64-manylinux2014"}

# Of the locked packages, as options of `uv export`.
LAYER_PACKAGES = ["--no-default-groups"]
MIGRATE_PACKAGES = ["--only-group=migrations"]
IN_THE_LAYER = ["typing-extensions"]

# What no function imports.
UNUSED = [
    *(".lock", "bin", "*.dist-info"),
    "aws_lambda_powertools/event_handler/openapi/swagger_ui",
    *(
        f"aws_lambda_powertools/utilities/{name}"
        for name in ("auth_alpha", "batch", "feature_flags", "idempotency", "kafka", "parser", "streaming")
    ),
    "dateutil/zoneinfo/*.tar.gz",
    *("pydantic/mypy.py", "pydantic/v1"),
    *(f"sqlalchemy/dialects/{name}" for name in ("mssql", "mysql", "oracle", "sqlite")),
    *("sqlalchemy/ext/asyncio", "sqlalchemy/ext/mypy", "sqlalchemy/testing"),
    # What is fast for many rows; it has the same in Python.
    "sqlalchemy/**/*.so",
]
# These two read their own version when they are imported.
NEEDED_METADATA = ["pg8000-*.dist-info/METADATA", "scramp-*.dist-info/METADATA"]
SOURCES = ["*.py", "*.py[ix]", "*.pxd"]

FINGERPRINT = "template-and-parameters.sha256"


def main() -> None:
    """Build the artifact that `sam build` asks for."""
    parser = argparse.ArgumentParser(prog="python -m dev.build", description=__doc__)
    parser.add_argument("artifact", help="its logical id in the template")
    parser.add_argument("folder", type=Path, help="where the artifact goes")
    parser.add_argument("--parameters", type=Path, required=True, help="all that a deploy passes, as YAML")
    parser.add_argument("--python-version", required=True, help="of Lambda, such as 3.13")
    parser.add_argument("--python", help="of that version; without one nothing is compiled")
    arguments = parser.parse_args()
    build = Build(arguments.parameters, arguments.python_version, arguments.python)
    if arguments.artifact == "SharedLayer":
        build.layer(arguments.folder)
    else:
        handler = _read(TEMPLATE)["Resources"][arguments.artifact]["Properties"]["Handler"]
        build.function(handler.partition(".")[0], arguments.folder)


@dataclass(frozen=True)
class Build:
    """Builds for the parameters of a deployment and a version of Python, whatever this machine has."""

    parameters: Path
    python_version: str
    python: str | None = None

    def layer(self, folder: Path) -> None:
        """Build the layer: the package `shared` and everything it needs."""
        packages = folder / "python"
        self._install(packages, LAYER_PACKAGES)
        self._compile(packages, "/opt/python", "-b")
        if self.python:
            _remove(packages, [f"**/{pattern}" for pattern in SOURCES])
        _copy(ROOT / "shared", packages)
        self._compile(packages / "shared", "/opt/python/shared")
        # SAM publishes a function's version when its text in the template changes: not when a parameter does,
        # and also when Lambda sees nothing new, as with another tag, and refuses it. With this in the layer
        # all are published, and have something new.
        given = hashlib.sha256(TEMPLATE.read_bytes() + self.parameters.read_bytes())
        (folder / FINGERPRINT).write_text(f"{given.hexdigest()}\n")

    def function(self, module: str, folder: Path) -> None:
        """Build a function, which runs on the layer: its module, and what only the migrations need."""
        if module == "migrate":
            in_the_layer = [f"--no-emit-package={package}" for package in IN_THE_LAYER]
            self._install(folder, [*MIGRATE_PACKAGES, *in_the_layer])
            _copy(ROOT / "migrations", folder)
        shutil.copy2(ROOT / "functions" / f"{module}.py", folder)
        self._compile(folder, "/var/task")

    def _install(self, folder: Path, packages: list[str]) -> None:
        exported = _uv("export", "--frozen", "--no-hashes", *packages)
        target = f"--target={folder}", f"--python-version={self.python_version}"
        platform = PLATFORMS[_read(self.parameters)["Architecture"]]
        binary = f"--python-platform={platform}", "--only-binary=:all:"
        _uv("pip", "install", "--no-deps", *target, *binary, "--requirement=-", given=exported)
        metadata = [path for pattern in NEEDED_METADATA for path in folder.glob(pattern)]
        needed = {path: path.read_bytes() for path in metadata}
        _remove(folder, UNUSED)
        for path, content in needed.items():
            path.parent.mkdir()
            path.write_bytes(content)

    def _compile(self, folder: Path, place: str, *options: str) -> None:
        """Compile the modules as files of the place where Lambda puts the folder.

        The deployed files cannot be written, so without byte code each cold start would compile them again.
        """
        _remove(folder, ["**/__pycache__"])
        if self.python:
            mode = "-q", "-j0", "--invalidation-mode=unchecked-hash", *options
            names = "-s", folder, "-p", place
            subprocess.run([self.python, "-m", "compileall", *mode, *names, folder], check=True)


def _read(path: Path) -> Any:
    return yaml.load(path.read_text(), yaml.BaseLoader)  # noqa: S506 (it reads only texts)


def _uv(*arguments: str, given: bytes = b"") -> bytes:
    command = [sys.executable, "-m", "uv", "--quiet", *arguments]
    return subprocess.run(command, input=given, stdout=subprocess.PIPE, check=True).stdout


def _copy(package: Path, folder: Path) -> None:
    shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("__pycache__"))


def _remove(folder: Path, patterns: list[str]) -> None:
    for path in [path for pattern in patterns for path in folder.glob(pattern)]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()


if __name__ == "__main__":
    main()
