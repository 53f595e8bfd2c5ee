"""The functions and the template say the same."""

from pathlib import Path

import pytest

from dev.local import ROOT
from shared.http import Api
from tests.client import BUNDLES, READ, TEMPLATE, WRITE, handler_of

MIGRATE = ROOT / "functions/migrate.py"
ENDPOINTS = sorted(set((ROOT / "functions").glob("*.py")) - {MIGRATE})
CONTRACT = {
    f"GET {BUNDLES}": READ,
    f"GET {BUNDLES}/": READ,
    f"POST {BUNDLES}": WRITE,
    f"POST {BUNDLES}/": WRITE,
    f"GET {BUNDLES}/{{bundle_id}}": READ,
    f"GET {BUNDLES}/{{bundle_id}}/history": READ,
    f"PUT {BUNDLES}/{{bundle_id}}": WRITE,
    f"PATCH {BUNDLES}/{{bundle_id}}": WRITE,
    f"DELETE {BUNDLES}/{{bundle_id}}": WRITE,
    f"POST {BUNDLES}/{{bundle_id}}/activate": WRITE,
    f"POST {BUNDLES}/{{bundle_id}}/deactivate": WRITE,
}


def test_the_template_has_the_routes_and_scopes_of_the_contract() -> None:
    assert {route.key: route.scopes for route in TEMPLATE.routes} == {
        key: (scope,) for key, scope in CONTRACT.items()
    }
    assert all(route.authorized for route in TEMPLATE.routes)


def test_each_handler_has_just_the_routes_that_the_template_gives_it() -> None:
    handlers = {route.function.handler for route in TEMPLATE.routes}
    for name in handlers:
        handler = handler_of(name)
        assert isinstance(handler, Api)
        own = {(f"{operation.method} {operation.rule}", handler.scope) for operation in handler.operations}
        given = {(route.key, route.scopes[0]) for route in TEMPLATE.routes if route.function.handler == name}
        assert own == given


def test_each_file_is_an_endpoint_of_the_template() -> None:
    assert {path.stem for path in ENDPOINTS} == {route.function.module for route in TEMPLATE.routes}


@pytest.mark.parametrize("path", ENDPOINTS, ids=lambda path: path.stem)
def test_each_endpoint_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 20


def test_cors_is_that_of_the_contract() -> None:
    cors = TEMPLATE.cors
    assert cors
    assert "*" not in cors.origins
    assert set(cors.methods) == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert set(cors.headers) == {
        "Authorization",
        "Content-Type",
        "If-Match",
        "If-None-Match",
        "Idempotency-Key",
    }
    assert set(cors.exposed_headers) == {"ETag", "Location", "Idempotency-Replayed"}


def test_the_deployed_python_is_one_that_the_code_is_tested_on() -> None:
    assert "Runtime: python3.13" in (ROOT / "template.yaml").read_text()
