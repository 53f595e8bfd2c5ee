"""Who may import whom."""

import ast
from pathlib import Path

import pytest

from dev.local import ROOT

SHARED = ROOT / "shared"
MIGRATE = ROOT / "functions/migrate.py"
DEPLOYED = sorted(
    path for folder in ("functions", "shared", "migrations") for path in (ROOT / folder).rglob("*.py")
)
RESOURCES = sorted(path.parent for path in SHARED.glob("*/service.py"))
FOR_ALEMBIC = {*SHARED.rglob("tables.py"), *(ROOT / "migrations").rglob("*.py")}
HTTP = {"aws_lambda_powertools", "shared.http", "http"}
# Its Logger and Metrics, its parameters to read secrets, its type of Lambda's context.
MAY_USE_POWERTOOLS = {
    SHARED / "logs.py",
    SHARED / "http/endpoint.py",
    SHARED / "database/credentials.py",
    MIGRATE,
}

each_file = pytest.mark.parametrize("path", DEPLOYED, ids=lambda path: str(path.relative_to(ROOT)))
each_resource = pytest.mark.parametrize("resource", RESOURCES, ids=lambda path: path.name)


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


@each_file
def test_nothing_deployed_imports_what_is_not(path: Path) -> None:
    assert not reaches(imports(path), "dev", "tests", "pytest")


@each_file
def test_sqlalchemy_is_for_alembic(path: Path) -> None:
    if path not in FOR_ALEMBIC:
        assert not reaches(imports(path), "sqlalchemy", "alembic", "shared.database.tables")


@each_file
def test_only_http_knows_powertools(path: Path) -> None:
    if path not in MAY_USE_POWERTOOLS:
        assert not reaches(imports(path), "aws_lambda_powertools")


@pytest.mark.parametrize(
    "path", sorted(set((ROOT / "functions").glob("*.py")) - {MIGRATE}), ids=lambda path: path.stem
)
def test_functions_import_http_and_one_resource(path: Path) -> None:
    found = imports(path)
    (resource,) = (folder.name for folder in RESOURCES if reaches(found, f"shared.{folder.name}"))
    generic = ("shared.http", "shared.changes", "shared.paging", "shared.feed")
    assert reaches(found, "shared") == reaches(found, f"shared.{resource}", *generic)
    assert not reaches(found, f"shared.{resource}.model", f"shared.{resource}.repository")


@each_resource
def test_each_layer_knows_only_those_below_it(resource: Path) -> None:
    below = {"model", "repository", "tables"}
    files = {path: path.stem for path in resource.glob("*.py") if path.stem not in {"tables", "__init__"}}
    services = [f"shared.{resource.name}.{name}" for name in set(files.values()) - below]
    schemas, repository = f"shared.{resource.name}.schemas", f"shared.{resource.name}.repository"
    for path in (resource / "schemas").glob("*.py"):
        assert not reaches(imports(path), repository, *services, *HTTP)
    for path, name in files.items():
        found = imports(path)
        if name == "model":
            assert not reaches(found, schemas, repository, *services, *HTTP)
        elif name == "repository":
            assert not reaches(found, schemas, *services, *HTTP)
        else:
            assert not reaches(found, "pg8000", *HTTP)


@each_resource
def test_nothing_else_knows_a_resource(resource: Path) -> None:
    for path in SHARED.rglob("*.py"):
        if not path.is_relative_to(resource):
            assert not reaches(imports(path), f"shared.{resource.name}"), path


@pytest.mark.parametrize("path", sorted((SHARED / "http").glob("*.py")), ids=lambda path: path.stem)
def test_http_knows_no_database(path: Path) -> None:
    assert not reaches(imports(path), "shared.database")


def test_dev_does_not_import_the_tests() -> None:
    for path in (ROOT / "dev").rglob("*.py"):
        assert not reaches(imports(path), "tests"), path
