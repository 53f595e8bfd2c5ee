"""The OpenAPI document of the API: what the handlers say of themselves, and what they have in common."""

import json
import sys
from http import HTTPStatus
from typing import Any

from dev.local import local_template
from dev.template import Route, Template

PROBLEM = {
    "type": "object",
    "description": "What went wrong, as in RFC 9457; `error` is the sentence to show to a person.",
    "required": ["type", "title", "status", "detail", "error", "request_id"],
    "properties": {
        "type": {"const": "about:blank"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "error": {"type": "string", "description": "The same as `detail`."},
        "request_id": {"type": "string"},
        "errors": {
            "type": "array",
            "description": "Every field, parameter and header that is wrong.",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["detail", "code"],
                "properties": {
                    "pointer": {"type": "string", "description": "The field, as a JSON pointer."},
                    "parameter": {"type": "string"},
                    "header": {"type": "string"},
                    "detail": {"type": "string"},
                    "code": {"type": "string"},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
GATEWAY_MESSAGE = {
    "type": "object",
    "description": "What API Gateway answers by itself.",
    "required": ["message"],
    "properties": {"message": {"type": "string"}},
    "additionalProperties": False,
}

REASONS = {
    HTTPStatus.NOT_MODIFIED: "The caller has the current version.",
    HTTPStatus.BAD_REQUEST: "A field, parameter or header is wrong; `errors` names each.",
    HTTPStatus.UNAUTHORIZED: "No token, or one that is not valid.",
    HTTPStatus.FORBIDDEN: "The token does not have the scope.",
    HTTPStatus.NOT_FOUND: "There is no such token bundle.",
    HTTPStatus.CONFLICT: "The token bundle is still used elsewhere: deactivate it instead.",
    HTTPStatus.PRECONDITION_FAILED: "The token bundle has changed since it was read.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The body is over 64 KiB.",
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "The body is not application/json in UTF-8.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "The Idempotency-Key has been used with a different body.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "An error of ours.",
    HTTPStatus.SERVICE_UNAVAILABLE: "The database cannot be reached or is too slow.",
}
# What API Gateway answers by itself, without a function.
GATEWAYS_OWN = {
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
}
HEADERS = {
    "ETag": "The entity tag of the bundle's version, for If-Match and If-None-Match.",
    "Location": "The path of the new bundle.",
    "Idempotency-Replayed": "`true` when this is the answer to an earlier request with the same key.",
    "Retry-After": "Seconds to wait before the next try.",
}


def document() -> dict[str, Any]:
    """Put the handlers' own documents together, and add what the functions need not be told at run time."""
    template = local_template()
    paths: dict[str, Any] = {}
    schemas: dict[str, Any] = {"Problem": PROBLEM, "GatewayMessage": GATEWAY_MESSAGE}
    for route in template.routes:
        own = _own_document(template, route)
        components = own["components"]["schemas"]
        operation = own["paths"].get(route.path, {}).get(route.method.lower())
        if operation is None:  # the collection's twin with a slash at its end
            continue
        _describe_parameters(operation, components)
        _describe_answers(operation, route)
        operation["security"] = [{"jwt": list(route.scopes)}]
        paths.setdefault(route.path, {})[route.method.lower()] = operation
        schemas |= components
    return {
        "openapi": "3.1.0",
        "info": {"title": "Token bundles: the admin API", "version": "1"},
        "paths": paths,
        "components": {
            "schemas": _reachable(paths, schemas),
            "securitySchemes": {"jwt": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _own_document(template: Template, route: Route) -> dict[str, Any]:
    folder = str(template.code_folder)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    text = route.function.load().get_openapi_json_schema(title="", version="")
    own: dict[str, Any] = json.loads(text, parse_float=_bound)
    return own


def _bound(text: str) -> int | float:
    """Undo Powertools' writing every bound as a float, and its rounding the largest page number up."""
    number = float(text)
    return min(int(number), 2**63 - 1) if number.is_integer() else number


def _describe_parameters(operation: dict[str, Any], components: dict[str, Any]) -> None:
    parameters = operation.get("parameters", [])
    # Of a model of query parameters Powertools says no more than their types, and what it knows elsewhere.
    in_query = {parameter["name"] for parameter in parameters if parameter["in"] == "query"}
    constraints: dict[str, Any] = next(
        (model["properties"] for model in components.values() if in_query == model["properties"].keys()), {}
    )
    for parameter in parameters:
        schema = constraints.get(parameter["name"], parameter["schema"])
        # What is absent is not null.
        choices = [choice for choice in schema.pop("anyOf", []) if choice != {"type": "null"}]
        parameter["schema"] = schema | (choices[0] if choices else {})
        if schema.get("type") == "array":
            parameter |= {"style": "form", "explode": False}


def _describe_answers(operation: dict[str, Any], route: Route) -> None:
    names = {parameter["name"] for parameter in operation.get("parameters", [])}
    succeeded = next(iter(operation["responses"].values()))
    headers = {
        "ETag": "BundleAnswer" in json.dumps(succeeded),
        "Location": "idempotency-key" in names,
        "Idempotency-Replayed": "idempotency-key" in names,
    }
    succeeded["headers"] = {name: _header(name) for name, is_there in headers.items() if is_there}
    statuses = {
        HTTPStatus.NOT_MODIFIED: "if-none-match" in names,
        HTTPStatus.BAD_REQUEST: "requestBody" in operation or bool(names - {"bundle_id", "if-none-match"}),
        HTTPStatus.UNAUTHORIZED: True,
        HTTPStatus.FORBIDDEN: True,
        HTTPStatus.NOT_FOUND: "bundle_id" in names,
        HTTPStatus.CONFLICT: route.method == "DELETE",
        HTTPStatus.PRECONDITION_FAILED: "if-match" in names,
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "requestBody" in operation,
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE: "requestBody" in operation,
        HTTPStatus.UNPROCESSABLE_ENTITY: "idempotency-key" in names,
        HTTPStatus.INTERNAL_SERVER_ERROR: True,
        HTTPStatus.SERVICE_UNAVAILABLE: True,
    }
    operation["responses"] |= {
        str(int(status)): _answer(status) for status, is_possible in statuses.items() if is_possible
    }


def _answer(status: HTTPStatus) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": REASONS[status]}
    if status == HTTPStatus.NOT_MODIFIED:
        answer["headers"] = {"ETag": _header("ETag")}
    else:
        answer["content"] = {"application/problem+json": {"schema": _reference("Problem")}}
    if status in GATEWAYS_OWN:
        answer["content"]["application/json"] = {"schema": _reference("GatewayMessage")}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        answer["headers"] = {"Retry-After": _header("Retry-After")}
    return answer


def _header(name: str) -> dict[str, Any]:
    return {"description": HEADERS[name], "schema": {"type": "string"}}


def _reference(schema: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{schema}"}


def _reachable(paths: dict[str, Any], schemas: dict[str, Any]) -> dict[str, Any]:
    """Leave out what nothing refers to, such as Powertools' own answers to what is wrong."""
    found: dict[str, Any] = {}
    text = json.dumps(paths)
    while new := {n: s for n, s in schemas.items() if n not in found and f'schemas/{n}"' in text}:
        found |= new
        text = json.dumps(new)
    return dict(sorted(found.items()))
