"""What `make build` has made: its size, what is in it, and that it is the same each time."""

import hashlib
import subprocess
from pathlib import Path

import pytest

from dev.emulator import BUILD, EMULATOR, files, zipped
from dev.gateway.template import load_document
from dev.local import ROOT
from tests.client import TEMPLATE

KILOBYTE = 1000
LIMITS = {"SharedLayer": 4_500 * KILOBYTE, "Migrate": 5_500 * KILOBYTE}
FUNCTION_LIMIT = 5 * KILOBYTE
MODULES = {route.function.name: route.function.module for route in TEMPLATE.routes}
ENDPOINTS = sorted(MODULES)

pytestmark = pytest.mark.skipif(not EMULATOR, reason="only `make smoke` has built what this reads")


def test_sizes(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {name: zipped(files(BUILD / name)) for name in [*LIMITS, *ENDPOINTS]}
    with capsys.disabled():
        print("\n kB zipped  limit  artifact")
        for name, size in sizes.items():
            limit = LIMITS.get(name, FUNCTION_LIMIT)
            print(f"{size / KILOBYTE:10.0f} {limit / KILOBYTE:6.0f}  {name}")
    assert {name for name, size in sizes.items() if size > LIMITS.get(name, FUNCTION_LIMIT)} == set()


@pytest.mark.parametrize("artifact", ["SharedLayer", *ENDPOINTS])
def test_the_api_has_nothing_that_it_does_not_run(artifact: str) -> None:
    unwanted = {"tests", "testing", "dev", "migrations", "boto3", "botocore", "alembic", "mako", "bin"}
    metadata = {"pg8000", "scramp"}
    for name in files(BUILD / artifact):
        parts = Path(name).parts
        assert not unwanted & set(parts), name
        assert all(part.split("-")[0] in metadata for part in parts if part.endswith(".dist-info")), name


@pytest.mark.parametrize("artifact", ENDPOINTS)
def test_a_function_has_only_its_own_file(artifact: str) -> None:
    assert {Path(name).name.partition(".")[0] for name in files(BUILD / artifact)} == {MODULES[artifact]}


@pytest.mark.parametrize("artifact", ["SharedLayer", "Migrate", *ENDPOINTS])
def test_all_sources_have_byte_code(artifact: str) -> None:
    contents = files(BUILD / artifact)
    sources = {name for name in contents if name.endswith(".py")}
    assert {name for name in contents if name.endswith(".pyc")}
    compiled = {
        str(Path(name).parent.parent / f"{Path(name).name.split('.')[0]}.py")
        for name in contents
        if "__pycache__" in name
    }
    # Alembic's templates for new migrations are no modules.
    assert {name for name in sources - compiled if "templates" not in name} == set()


def test_the_default_certificates_are_in_the_layer() -> None:
    parameter = load_document((ROOT / "template.yaml").read_text())["Parameters"]["DatabaseCaFile"]
    assert (BUILD / "SharedLayer" / Path(parameter["Default"]).relative_to("/opt")).is_file()


def test_two_builds_are_the_same(tmp_path: Path) -> None:
    subprocess.run(["make", "build", f"BUILD={tmp_path}"], cwd=ROOT, check=True, capture_output=True)
    first, second = (
        {name: hashlib.sha256(content).hexdigest() for name, content in files(folder).items()}
        for folder in (BUILD, tmp_path)
    )
    assert {name for name in first.keys() | second.keys() if first.get(name) != second.get(name)} == set()


def test_nothing_knows_where_it_was_built() -> None:
    assert {name for name, content in files(BUILD).items() if str(ROOT).encode() in content} == set()
