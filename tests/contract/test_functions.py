"""The functions and the template say the same."""

import re
from pathlib import Path

import pytest

from dev.gateway.template import Route
from dev.local import ROOT
from shared.http.endpoint import Endpoint
from tests.client import BUNDLES, CATALOGUE, PUBLIC, READ, TEMPLATE, WRITE, handler_of

MIGRATE = ROOT / "functions/migrate.py"
ENDPOINTS = sorted(set((ROOT / "functions").glob("*.py")) - {MIGRATE})
# Of each route the function that it leads to, which does not know its address, and the scope if it wants one.
CONTRACT = {
    f"GET {BUNDLES}": ("list_token_bundles", READ),
    f"GET {BUNDLES}/{{proxy+}}": ("list_token_bundles", READ),
    f"POST {BUNDLES}": ("create_token_bundle", WRITE),
    f"POST {BUNDLES}/{{proxy+}}": ("create_token_bundle", WRITE),
    f"GET {BUNDLES}/{{bundle_id}}": ("get_token_bundle", READ),
    f"GET {BUNDLES}/history": ("list_all_token_bundle_changes", READ),
    f"PATCH {BUNDLES}": ("update_token_bundles", WRITE),
    f"PATCH {BUNDLES}/{{proxy+}}": ("update_token_bundles", WRITE),
    f"POST {BUNDLES}/{{bundle_id}}/restore": ("restore_token_bundle", WRITE),
    f"GET {BUNDLES}/{{bundle_id}}/history": ("list_token_bundle_changes", READ),
    f"PUT {BUNDLES}/{{bundle_id}}": ("update_token_bundle", WRITE),
    f"PATCH {BUNDLES}/{{bundle_id}}": ("update_token_bundle", WRITE),
    f"DELETE {BUNDLES}/{{bundle_id}}": ("delete_token_bundle", WRITE),
    f"POST {BUNDLES}/{{bundle_id}}/activate": ("activate_token_bundle", WRITE),
    f"POST {BUNDLES}/{{bundle_id}}/deactivate": ("deactivate_token_bundle", WRITE),
    f"GET {BUNDLES}/export": ("export_token_bundles", READ),
    f"POST {BUNDLES}/import": ("import_token_bundles", WRITE),
    f"GET {CATALOGUE}": ("list_catalogue",),
    f"GET {CATALOGUE}/{{proxy+}}": ("list_catalogue",),
    f"GET {CATALOGUE}/{{bundle_id}}": ("get_catalogue_bundle",),
}


def test_each_route_leads_to_its_function_and_wants_its_scope() -> None:
    routes = {route.key: (route.function.module, *route.scopes) for route in TEMPLATE.routes}
    assert routes == CONTRACT
    assert {route.key for route in TEMPLATE.routes if not route.authorized} == PUBLIC


@pytest.mark.parametrize("route", TEMPLATE.routes, ids=lambda route: route.key)
def test_each_function_wants_the_scope_and_the_variables_of_its_routes(route: Route) -> None:
    endpoint = handler_of(route.function.handler)
    assert isinstance(endpoint, Endpoint)
    assert (() if endpoint.access == "anyone" else (endpoint.scope,)) == route.scopes
    sources = endpoint.parameters.sources.values()
    wanted = {
        source.path[1] for source in sources if not isinstance(source, str) and source.path[0] == "path"
    }
    assert wanted == set(re.findall(r"{(\w+)}", route.path))


def test_each_file_is_an_endpoint_of_the_template() -> None:
    assert {path.stem for path in ENDPOINTS} == {route.function.module for route in TEMPLATE.routes}


@pytest.mark.parametrize("path", ENDPOINTS, ids=lambda path: path.stem)
def test_each_endpoint_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 20


def test_the_deployed_python_is_one_that_the_code_is_tested_on() -> None:
    assert "Runtime: python3.13" in (ROOT / "template.yaml").read_text()
