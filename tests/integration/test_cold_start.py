"""What a new Lambda environment imports, and how often it waits for the database."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dev.local import ROOT
from tests.client import TEMPLATE
from tests.integration.conftest import url_of
from tests.postgres import EMPTY
from tests.proxy import CONNECTING, Proxy

# Only what a function needs is paid for in each cold start.
FORBIDDEN = {
    "alembic",
    "aws_lambda_powertools.event_handler",
    "aws_lambda_powertools.utilities.parameters",
    "aws_xray_sdk",
    "boto3",
    "botocore",
    "dev",
    "email_validator",
    "pydantic.v1",
    "iso4217",
    "sqlalchemy",
    "tests",
}
SCHEMAS = r"shared\.\w+\.schemas\.(\w+)"
OWN_SCHEMAS = {
    "list_token_bundles": {"query", "read"},
    "get_token_bundle": {"read"},
    "list_token_bundle_changes": {"history", "read"},
    "list_all_token_bundle_changes": {"history", "read"},
    "create_token_bundle": {"create", "preview", "read"},
    "update_token_bundle": {"preview", "read", "update"},
    "update_token_bundles": {"batch", "preview", "read", "update"},
    "delete_token_bundle": {"preview", "read"},
    "activate_token_bundle": {"preview", "read"},
    "deactivate_token_bundle": {"preview", "read"},
    "export_token_bundles": {"export", "query", "read"},
    "import_token_bundles": {"create", "preview", "read", "rows", "update"},
    "list_catalogue": {"catalogue"},
    "get_catalogue_bundle": {"catalogue"},
    # What it was must be what can be created today.
    "restore_token_bundle": {"create", "preview", "read", "restore"},
}
PYTHONPATH = os.pathsep.join([str(ROOT), str(ROOT / "functions")])
CHILD = """
import gc, importlib, json, sys
handler = importlib.import_module(sys.argv[1]).handler
assert gc.isenabled() and gc.get_freeze_count()
print(json.dumps([handler(event, None)["statusCode"] for event in json.load(sys.stdin)]))
print(json.dumps(list(sys.modules)))
"""


def run(module: str, url: str, *, requests: int, **variables: str) -> tuple[list[int], set[str]]:
    """Import a function in a new process and let it answer its sample event."""
    event = json.loads((ROOT / f"tests/events/{module}.json").read_text())
    child = subprocess.run(
        [sys.executable, "-c", CHILD, module],
        env={"PYTHONPATH": PYTHONPATH, "DATABASE_URL": url, "AWS_LAMBDA_FUNCTION_NAME": module, **variables},
        cwd=Path("/"),
        input=json.dumps([event] * requests),
        capture_output=True,
        text=True,
        check=True,
    )
    *_, statuses, modules = child.stdout.splitlines()
    return json.loads(statuses), set(json.loads(modules))


@pytest.fixture
def url(database: Engine) -> Iterator[str]:
    yield url_of(database)
    with database.begin() as connection:
        connection.execute(text(EMPTY))


@pytest.mark.parametrize("module", sorted({route.function.module for route in TEMPLATE.routes}))
def test_first_request(module: str, url: str) -> None:
    with Proxy(url) as proxy:
        statuses, modules = run(module, proxy.url, requests=1)
        assert proxy.round_trips == CONNECTING + 1
    assert statuses[0] in {200, 201, 404, 409}
    read = {own[1] for name in modules if (own := re.fullmatch(SCHEMAS, name))}
    assert read == OWN_SCHEMAS[module]
    found = {name for name in modules if any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN)}
    # Powertools leaves its name with botocore if that is there, and imports no more of it than the package.
    assert found <= {"botocore"}


def test_models_are_built_by_those_who_read_them() -> None:
    folders = os.pathsep.join([str(ROOT), str(ROOT / "functions")])
    code = """
import restore_token_bundle
from shared.token_bundles.schemas import create
models = [model for model in vars(create).values() if getattr(model, "model_fields", None)]
assert models and not any(model.__pydantic_complete__ for model in models)
"""
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": folders}, check=True)


def test_migrations_have_their_garbage_collected() -> None:
    subprocess.run(
        [sys.executable, "-c", "import gc, migrate; assert gc.isenabled()"],
        env={"PYTHONPATH": PYTHONPATH, "AWS_LAMBDA_FUNCTION_NAME": "migrate"},
        check=True,
    )


@pytest.mark.parametrize(
    ("kind", "round_trips"),
    [("on-demand", CONNECTING), ("provisioned-concurrency", CONNECTING), ("snap-start", 0)],
)
def test_init_connects_unless_there_will_be_a_snapshot(kind: str, round_trips: int, url: str) -> None:
    with Proxy(url) as proxy:
        run("get_token_bundle", proxy.url, requests=0, AWS_LAMBDA_INITIALIZATION_TYPE=kind)
        # The client's goodbye counts as well.
        assert proxy.round_trips == round_trips


def test_init_without_a_database_leaves_the_rest_to_the_request(url: str) -> None:
    with Proxy(url, listening=False) as proxy:
        statuses, _ = run(
            "get_token_bundle", proxy.url, requests=1, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand"
        )
    assert statuses == [503]
