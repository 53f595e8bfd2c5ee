"""Who may import whom."""

import ast
from pathlib import Path

import pytest

from dev.local import ROOT

SOURCES = sorted(
    path for folder in ("functions", "shared", "migrations") for path in (ROOT / folder).rglob("*.py")
)
BUNDLES = "shared.token_bundles"
HTTP = {"aws_lambda_powertools", "shared.http", "http"}
# The one reads secrets with Powertools' parameters, the other logs with its Logger.
CREDENTIALS = ROOT / "shared/database/credentials.py"
MIGRATE = ROOT / "functions/migrate.py"
FRAMEWORK_FREE = ("model", "repository", "service")


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def reaches(modules: set[str], *packages: str) -> set[str]:
    return {name for name in modules if any(name == p or name.startswith(f"{p}.") for p in packages)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_deployed_imports_what_is_not(path: Path) -> None:
    assert not reaches(imports(path), "dev", "tests", "pytest")


@pytest.mark.parametrize(
    "path", sorted(set((ROOT / "functions").glob("*.py")) - {MIGRATE}), ids=lambda path: path.stem
)
def test_functions_import_only_http_and_their_resource(path: Path) -> None:
    ours = reaches(imports(path), "shared")
    assert ours == reaches(ours, "shared.http", BUNDLES)
    assert not reaches(ours, f"{BUNDLES}.repository", f"{BUNDLES}.model")
    assert not reaches(imports(path), "aws_lambda_powertools", "sqlalchemy")


@pytest.mark.parametrize("layer", FRAMEWORK_FREE)
def test_the_layers_below_http_do_not_know_it(layer: str) -> None:
    assert not reaches(imports(ROOT / "shared/token_bundles" / f"{layer}.py"), *HTTP)


def test_a_layer_knows_only_those_below_it() -> None:
    folder = ROOT / "shared/token_bundles"
    assert not reaches(
        imports(folder / "model.py"), *(f"{BUNDLES}.{layer}" for layer in ("repository", "service"))
    )
    assert not reaches(imports(folder / "repository.py"), f"{BUNDLES}.service", f"{BUNDLES}.schemas")
    assert not reaches(imports(folder / "service.py"), "sqlalchemy", "pg8000")


@pytest.mark.parametrize("path", sorted((ROOT / "shared/http").glob("*.py")), ids=lambda path: path.stem)
def test_http_knows_no_resource(path: Path) -> None:
    assert not reaches(imports(path), BUNDLES, "shared.database", "sqlalchemy")


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_http_knows_powertools(path: Path) -> None:
    if path.parent != ROOT / "shared/http" and path not in {CREDENTIALS, MIGRATE}:
        assert not reaches(imports(path), "aws_lambda_powertools")
