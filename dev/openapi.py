"""The OpenAPI document: what the handlers say of themselves, and what they need not know at run time."""

import importlib
import json
import re
import sys
from http import HTTPStatus
from typing import Annotated, Any, get_args, get_origin

import yaml
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver
from aws_lambda_powertools.event_handler.openapi import params

from dev.gateway.template import Route, local_template
from dev.local import ROOT
from shared.errors import (
    ApiError,
    ChangedMeanwhileError,
    DatabaseUnavailableError,
    KeyUsedDifferentlyError,
    NotFoundError,
    StillReferencedError,
)
from shared.http.idempotency import REPLAYED
from shared.http.operation import Header, Query
from shared.http.problems import (
    PROBLEM_JSON,
    BodyTooLargeError,
    ForbiddenError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    problem,
    validation_problem,
)
from shared.http.response import Response

COMMITTED = ROOT / "openapi.json"
FRAME = ROOT / "dev/openapi.yaml"
REQUEST_ID = "JKJaXmPLvHcESHA="

# What there is in an operation only when its requests have something: a method, a parameter, a body.
ALWAYS = "always"
ERRORS: dict[type[ApiError], str] = {
    UnauthorizedError: ALWAYS,
    ForbiddenError: ALWAYS,
    NotFoundError: "bundle_id",
    StillReferencedError: "DELETE",
    ChangedMeanwhileError: "If-Match",
    BodyTooLargeError: "requestBody",
    UnsupportedMediaTypeError: "requestBody",
    KeyUsedDifferentlyError: "Idempotency-Key",
    ApiError: ALWAYS,
    DatabaseUnavailableError: ALWAYS,
}
# As pydantic reports them.
INVALID: dict[str, list[dict[str, Any]]] = {
    "requestBody": [
        {"type": "missing", "loc": ("body", "name")},
        {"type": "decimal_max_places", "loc": ("body", "price"), "ctx": {"decimal_places": 2}},
    ],
    "page": [{"type": "greater_than_equal", "loc": ("query", "page"), "ctx": {"ge": 1}}],
    "If-Match": [{"type": "entity_tags", "loc": ("header", "if-match")}],
    "Idempotency-Key": [{"type": "string_pattern_mismatch", "loc": ("header", "idempotency-key")}],
}
HEADERS_OF_A_CREATION = ["Location", REPLAYED]
HEADERS_OF_ERRORS = {UnauthorizedError: ["WWW-Authenticate"], DatabaseUnavailableError: ["Retry-After"]}
# What API Gateway answers by itself, without a function.
GATEWAYS_OWN = {UnauthorizedError, ForbiddenError, NotFoundError, ApiError, DatabaseUnavailableError}


def document() -> dict[str, Any]:
    """Put the handlers' own documents together, and add what they do not say."""
    frame: dict[str, Any] = yaml.safe_load(FRAME.read_text())
    examples, components = frame.pop("examples"), frame.pop("components")
    components["responses"] = {error.__name__: _problem_response(error) for error in ERRORS}
    paths: dict[str, Any] = {}
    template = local_template()
    if (folder := str(template.code_folder)) not in sys.path:
        sys.path.insert(0, folder)
    for route in template.routes:
        own = _own_document(route)
        operation = own["paths"].get(route.path, {}).get(route.method.lower())
        if operation is None:  # the collection's twin with a slash at its end
            continue
        schemas = own["components"]["schemas"]
        _describe(operation, route)
        _describe_parameters(operation, schemas)
        _describe_responses(operation, route)
        _show_examples(operation, examples)
        paths.setdefault(route.path, {})[route.method.lower()] = operation
        components["schemas"] |= schemas
    components["schemas"] = _reachable(components["schemas"], [paths, components["responses"]])
    return {**frame, "paths": paths, "components": components}


def text() -> str:
    """Write the document as it is committed."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


def _own_document(route: Route) -> dict[str, Any]:
    resolver = APIGatewayHttpResolver()
    for operation in route.function.load().operations:
        _mark_for_powertools(operation.function)
        rule = operation.rule.replace("{", "<").replace("}", ">")
        resolver.route(rule, operation.method, **operation.description)(operation.function)
    written = resolver.get_openapi_json_schema(title="", version="")
    renamed = re.sub(r"\bPage_(\w+)Read_", r"\1Page", written)
    own: dict[str, Any] = json.loads(renamed, parse_float=_bound, object_hook=_without_title)
    return own


def _function(route: Route) -> Any:
    return getattr(importlib.import_module(route.function.module), route.function.module)


def _mark_for_powertools(function: Any) -> None:
    """Say in Powertools' words where an argument comes from and what is answered."""
    for name, annotation in function.__annotations__.items():
        if get_origin(annotation) is Response:
            function.__annotations__[name] = get_args(annotation)[0]
        elif get_origin(annotation) is Annotated:
            kind, *marks = get_args(annotation)
            function.__annotations__[name] = Annotated[kind, *map(_mark, marks)]


def _mark(mark: Any) -> Any:
    match mark:
        case Query():
            return params.Query()
        case Header(name, description, example):
            return params.Header(alias=name, description=description, examples=[example] if example else None)
        case _:
            return mark


def _bound(number: str) -> int | float:
    """Undo Powertools' writing every bound as a float, and its rounding the largest page number up."""
    value = float(number)
    return min(int(value), 2**63 - 1) if value.is_integer() else value


def _without_title(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out pydantic's titles, which are the names once more."""
    return {name: value for name, value in schema.items() if not (name == "title" and isinstance(value, str))}


def _describe(operation: dict[str, Any], route: Route) -> None:
    # Of its own accord Powertools appends the path and the method.
    address = re.sub(r"\W", "_", f"{route.path}_{route.method.lower()}")
    operation |= {
        "summary": _function(route).__doc__.rstrip("."),
        "description": f"Needs a token with the scope `{route.scopes[0]}`.",
        "operationId": operation["operationId"].removesuffix(address),
        # The tag is the resource, and so is what a scope begins with.
        "tags": [route.scopes[0].partition(":")[0]],
        "security": [{"jwt": list(route.scopes)}],
    }


def _describe_parameters(operation: dict[str, Any], schemas: dict[str, Any]) -> None:
    parameters = operation.get("parameters", [])
    # Of a model of query parameters Powertools says no more than their types, and what it knows elsewhere.
    in_query = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    constraints: dict[str, Any] = next(
        (model["properties"] for model in schemas.values() if in_query == model["properties"].keys()), {}
    )
    for parameter in parameters:
        schema = constraints.get(parameter["name"], parameter["schema"])
        # What is absent is not null.
        choices = [choice for choice in schema.pop("anyOf", []) if choice != {"type": "null"}]
        schema |= choices[0] if choices else {}
        if description := schema.pop("description", None):
            parameter["description"] = description
        if parameter["in"] == "header":
            parameter["name"] = parameter["name"].title()
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}
        parameter["schema"] = schema


def _describe_responses(operation: dict[str, Any], route: Route) -> None:
    names = (parameter["name"] for parameter in operation.get("parameters", []))
    has = {ALWAYS, route.method, *names, *operation}
    ((status, success),) = operation["responses"].items()
    headers = ["ETag"] if "BundleAnswer" in json.dumps(success) else []
    headers += HEADERS_OF_A_CREATION if "Idempotency-Key" in has else []
    operation["responses"] = responses = {
        status: success | {"description": HTTPStatus(int(status)).phrase} | _headers(headers)
    }
    if "If-None-Match" in has:
        responses["304"] = {"description": "The caller has the current version."} | _headers(["ETag"])
    if invalid := {name: errors for name, errors in INVALID.items() if name in has}:
        responses["400"] = _invalid_response(invalid)
    for error, needed in ERRORS.items():
        if needed in has:
            responses[str(error.status)] = _reference("responses", error.__name__)


def _invalid_response(invalid: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    examples = {
        name: {"value": _body(validation_problem(errors, REQUEST_ID))} for name, errors in invalid.items()
    }
    return {
        "description": "A field, parameter or header is wrong; `errors` names each.",
        "content": {PROBLEM_JSON: {"schema": _reference("schemas", "Problem"), "examples": examples}},
    }


def _problem_response(error: type[ApiError]) -> dict[str, Any]:
    example = _body(problem(error(), REQUEST_ID))
    content = {PROBLEM_JSON: {"schema": _reference("schemas", "Problem"), "example": example}}
    if error in GATEWAYS_OWN:
        message = {"message": HTTPStatus(error.status).phrase}
        content["application/json"] = {"schema": _reference("schemas", "GatewayMessage"), "example": message}
    return {"description": error.__doc__, "content": content} | _headers(HEADERS_OF_ERRORS.get(error, []))


def _body(response: Any) -> Any:
    return json.loads(response.body)


def _show_examples(operation: dict[str, Any], examples: dict[str, Any]) -> None:
    for part in (operation.get("requestBody"), *operation["responses"].values()):
        content = (part or {}).get("content", {}).get("application/json")
        if content:
            content["example"] = examples[content["schema"]["$ref"].rpartition("/")[2]]


def _headers(names: list[str]) -> dict[str, Any]:
    return {"headers": {name: _reference("headers", name) for name in names}} if names else {}


def _reference(kind: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/components/{kind}/{name}"}


def _reachable(schemas: dict[str, Any], referring: Any) -> dict[str, Any]:
    """Leave out what nothing refers to, such as Powertools' own answers to what is wrong."""
    found: dict[str, Any] = {}
    while referring:
        text = json.dumps(referring)
        referring = {n: s for n, s in schemas.items() if n not in found and f'schemas/{n}"' in text}
        found |= referring
    return dict(sorted(found.items()))
