"""The OpenAPI document says what the contract does."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from dev import openapi
from dev.local import UserError
from dev.openapi import COMMITTED, document
from dev.sample_events import FOLDER, sample_events
from shared.errors import VersionConflictError
from tests.client import BUNDLES, CATALOGUE, READ, TEMPLATE, WRITE

DOCUMENT = json.loads(COMMITTED.read_text())
BUNDLE = f"{BUNDLES}/{{bundle_id}}"
ALWAYS = {500, 503}
OF_A_TOKEN = {401, 403}
CHANGE = {"validate_only", "reason"}
READ_ONE = {"bundle_id", "If-Match", "If-None-Match"}
CONDITIONAL = READ_ONE | CHANGE
LIST = {"page", "per_page", "include_inactive", "is_active", "id", "code", "q", "sort"}
FEED = {"per_page", "after", "changed_by", "action", "since", "until"}
ETAG = {"ETag"}
OF_A_FILE = {"Content-Disposition"}
OF_SHOP = {*ETAG, "Vary"}
CREATED = {*ETAG, "Location", "Idempotency-Replayed"}


class Operation(NamedTuple):
    """What the contract says of an operation; the headers are those of what is no error."""

    statuses: set[int]
    parameters: set[str]
    headers: set[str]


CONTRACT = {
    f"GET {BUNDLES}": Operation({200, 400}, LIST, set()),
    f"POST {BUNDLES}": Operation({200, 201, 400, 409, 413, 415, 422}, {"Idempotency-Key", *CHANGE}, CREATED),
    f"PATCH {BUNDLES}": Operation({200, 400, 409, 413, 415, 428}, CHANGE, set()),
    f"GET {BUNDLES}/history": Operation({200, 400}, FEED, set()),
    f"GET {BUNDLE}": Operation({200, 304, 400, 404, 412}, READ_ONE, ETAG),
    f"PUT {BUNDLE}": Operation({200, 400, 404, 409, 412, 413, 415, 428}, CONDITIONAL, ETAG),
    f"PATCH {BUNDLE}": Operation({200, 400, 404, 409, 412, 413, 415, 428}, CONDITIONAL, ETAG),
    f"DELETE {BUNDLE}": Operation({200, 400, 404, 409, 412, 428}, CONDITIONAL, set()),
    f"POST {BUNDLE}/activate": Operation({200, 400, 404, 412, 428}, CONDITIONAL, ETAG),
    f"POST {BUNDLE}/deactivate": Operation({200, 400, 404, 412, 428}, CONDITIONAL, ETAG),
    f"POST {BUNDLE}/restore": Operation({200, 400, 404, 409, 412, 413, 415, 428}, CONDITIONAL, ETAG),
    f"GET {BUNDLE}/history": Operation({200, 400, 404}, {"bundle_id", "page", "per_page"}, set()),
    f"GET {BUNDLES}/export": Operation({200, 400}, {*LIST, "format"} - {"page", "per_page"}, OF_A_FILE),
    f"POST {BUNDLES}/import": Operation({200, 400, 409, 413, 415, 428}, CHANGE, set()),
    f"GET {CATALOGUE}": Operation({200, 304, 400}, {"If-None-Match"}, OF_SHOP),
    f"GET {CATALOGUE}/{{bundle_id}}": Operation(
        {200, 304, 400, 404}, {"bundle_id", "If-None-Match"}, OF_SHOP
    ),
}
HEADERS_OF_ERRORS = {"401": {"WWW-Authenticate"}, "503": {"Retry-After"}}
AS_READ = {"id", "currency", "version", "created_at", "updated_at"}
OPERATIONS = {
    f"{method.upper()} {path}": operation
    for path, operations in DOCUMENT["paths"].items()
    for method, operation in operations.items()
}
each_operation = pytest.mark.parametrize("key", OPERATIONS)
each_of_the_contract = pytest.mark.parametrize("key", CONTRACT)


def resolved(part: Any) -> Any:
    while "$ref" in part:
        _, *names = part["$ref"].split("/")
        part = DOCUMENT
        for name in names:
            part = part[name]
    return part


def test_the_committed_document_is_that_of_the_handlers() -> None:
    assert document() == DOCUMENT, "`make openapi` writes it anew"


def test_the_committed_events_are_those_of_the_document() -> None:
    for module, event in sample_events(DOCUMENT).items():
        assert json.loads((FOLDER / f"{module}.json").read_text()) == event, "`make openapi` writes it anew"


def test_it_says_of_which_schema_an_example_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    frame = tmp_path / "openapi.yaml"
    frame.write_text(openapi.FRAME.read_text().replace("  TokenBundleRestore: {version: 1}\n", ""))
    monkeypatch.setattr(openapi, "FRAME", frame)
    monkeypatch.delitem(openapi.SAMPLES, "integer")
    with pytest.raises(UserError, match="wants an example in dev/openapi"):
        document()


def test_it_says_of_which_error_an_example_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(openapi.SAMPLE_ERRORS, VersionConflictError)
    with pytest.raises(UserError, match="VersionConflictError wants an example in SAMPLE_ERRORS"):
        document()


def test_it_is_openapi_3_1() -> None:
    assert DOCUMENT["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_what_is_wrong_in_a_document_is_found() -> None:
    broken = DOCUMENT | {"paths": {"/": {"get": {"responses": {"200": {}}}}}}
    assert list(OpenAPIV31SpecValidator(broken).iter_errors())


def test_it_has_the_routes_and_scopes_of_the_template() -> None:
    assert {key: operation["security"] for key, operation in OPERATIONS.items()} == {
        route.key: [{"jwt": list(route.scopes)}] if route.authorized else []
        for route in TEMPLATE.routes
        if not route.path.endswith("+}")
    }
    explained = DOCUMENT["components"]["securitySchemes"]["jwt"]["description"]
    assert {READ, WRITE} <= set(explained.split("`"))


def test_the_contract_is_about_every_operation_on_bundles() -> None:
    assert {key for key in OPERATIONS if "/token-bundles" in key} == CONTRACT.keys()


@each_of_the_contract
def test_it_has_the_answers_of_the_contract(key: str) -> None:
    of_all = ALWAYS if CATALOGUE in key else ALWAYS | OF_A_TOKEN
    assert {int(status) for status in OPERATIONS[key]["responses"]} == CONTRACT[key].statuses | of_all


@each_of_the_contract
def test_it_has_the_parameters_of_the_contract(key: str) -> None:
    parameters = OPERATIONS[key]["parameters"]
    assert {parameter["name"] for parameter in parameters} == CONTRACT[key].parameters
    assert all(parameter["required"] == (parameter["in"] == "path") for parameter in parameters)


@each_of_the_contract
def test_it_has_the_headers_of_the_contract(key: str) -> None:
    for status, response in OPERATIONS[key]["responses"].items():
        expected = CONTRACT[key].headers if int(status) < 400 else HEADERS_OF_ERRORS.get(status, set())
        if status == "200" and "201" in OPERATIONS[key]["responses"]:
            # A preview has created nothing that these could be about.
            expected = expected - {"ETag", "Location"}
        assert resolved(response)["headers"].keys() == {*expected, "Cache-Control"}, status


def test_what_was_read_may_be_sent_back_in_an_update_alone() -> None:
    read, create, update = (
        DOCUMENT["components"]["schemas"][f"TokenBundle{name}"]["properties"].keys()
        for name in ("Read", "Create", "Update")
    )
    assert update == read
    assert create == read - AS_READ


def test_a_merge_patch_is_for_patch() -> None:
    bodies = {
        key: operation.get("requestBody", {}).get("content", {}) for key, operation in OPERATIONS.items()
    }
    of_patch = {key for key, body in bodies.items() if "application/merge-patch+json" in body}
    assert of_patch == {key for key in bodies if key.startswith("PATCH ")}
    assert all("application/json" in body for body in bodies.values() if body)


def test_a_conflict_is_for_programs_too() -> None:
    for key, *codes in (
        (f"POST {BUNDLES}", "code_taken"),
        (f"PUT {BUNDLE}", "code_taken", "changed_meanwhile"),
        (f"DELETE {BUNDLE}", "still_referenced"),
        (f"PATCH {BUNDLES}", "not_found"),
    ):
        content = resolved(OPERATIONS[key]["responses"]["409"])["content"]["application/problem+json"]
        examples = [one["value"] for one in content.get("examples", {}).values()] or [content["example"]]
        assert [error["code"] for example in examples for error in example["errors"]] == codes


@each_operation
def test_what_goes_wrong_is_a_problem(key: str) -> None:
    for status, response in OPERATIONS[key]["responses"].items():
        problem = resolved(response).get("content", {}).get("application/problem+json")
        assert (problem is None) == (int(status) < 400)
        if problem:
            assert problem["schema"] == {"$ref": "#/components/schemas/Problem"}
            examples = [example["value"] for example in problem.get("examples", {}).values()]
            assert {example["status"] for example in examples or [problem["example"]]} == {int(status)}


@each_operation
def test_every_body_has_an_example(key: str) -> None:
    parts = [OPERATIONS[key].get("requestBody", {}), *map(resolved, OPERATIONS[key]["responses"].values())]
    bodies = [body for part in parts for body in part.get("content", {}).values()]
    assert len(bodies) > len(ALWAYS)
    assert all("example" in body or body["examples"] for body in bodies)


@each_operation
def test_every_operation_is_described(key: str) -> None:
    operation = OPERATIONS[key]
    assert operation["summary"]
    if operation["security"]:
        ((scope,),) = operation["security"][0].values()
        assert f"`{scope}`" in operation["description"]
        assert operation["tags"] == [scope.partition(":")[0]]
    else:
        assert (operation["description"], operation["tags"]) == ("Needs no token.", ["shop"])
    assert len({other["operationId"] for other in OPERATIONS.values()}) == len(OPERATIONS)
    assert operation["operationId"].isidentifier()
