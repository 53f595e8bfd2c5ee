"""The OpenAPI document: what the endpoints declare, and what they need not know at run time."""

import json
import re
import sys
from http import HTTPStatus
from itertools import groupby
from types import UnionType
from typing import Annotated, Any, get_args, get_origin

import yaml
from pydantic import TypeAdapter

from dev.gateway.template import Route, local_template
from dev.local import ROOT, UserError
from shared.database.versioned import Outcome
from shared.errors import (
    ApiError,
    ChangedMeanwhileError,
    DatabaseUnavailableError,
    KeyUsedDifferentlyError,
    NotFoundError,
    PreconditionRequiredError,
    VersionConflictError,
)
from shared.fields import AsRead
from shared.http.body import FILE_TYPES, MAX_KIBIBYTES
from shared.http.conditional import ConditionsOfRead
from shared.http.endpoint import Endpoint
from shared.http.headers import Header
from shared.http.problems import (
    PROBLEM_JSON,
    BodyTooLargeError,
    ForbiddenError,
    InvalidRequestError,
    UnauthorizedError,
    UnsupportedMediaTypeError,
    problem,
)
from shared.http.responses import REPLAYED
from shared.token_bundles.batches import BatchRefusedError
from shared.token_bundles.imports import RowsRefusedError
from shared.token_bundles.service import CodeTakenError

COMMITTED = ROOT / "openapi.json"
FRAME = ROOT / "dev/openapi.yaml"
REQUEST_ID = "JKJaXmPLvHcESHA="
REFERENCE = "#/components/schemas/"
MISSING: Any = object()
# Of a format or a type, where a schema has no example.
SAMPLES = {
    "uuid": "5d2c3c0e-6b0b-4c5c-9d0b-0f7c2f0e6a51",
    "date-time": "2026-11-23T08:00:00.123456Z",
    "string": "text",
    "integer": 1,
    "boolean": True,
    "null": None,
    "object": {},
}

# What there is in an operation only when its requests have something: a kind of parameter, a header, a body,
# a field in it.
ALWAYS = "always"
ERRORS: dict[type[ApiError], str] = {
    UnauthorizedError: "a token",
    ForbiddenError: "a token",
    NotFoundError: "path",
    ChangedMeanwhileError: "If-Match",
    VersionConflictError: "AsRead",
    PreconditionRequiredError: "a version",
    BodyTooLargeError: "body",
    UnsupportedMediaTypeError: "body",
    KeyUsedDifferentlyError: "Idempotency-Key",
    ApiError: ALWAYS,
    DatabaseUnavailableError: ALWAYS,
}
HEADERS_OF_ERRORS = {UnauthorizedError: ["WWW-Authenticate"], DatabaseUnavailableError: ["Retry-After"]}
# Of errors that tell more than their class.
SAMPLE_ERRORS: dict[type[ApiError], ApiError] = {
    VersionConflictError: VersionConflictError(current_version=3),
    BatchRefusedError: BatchRefusedError([Outcome("done"), Outcome("missing")]),
    RowsRefusedError: RowsRefusedError(
        [{"row": 7, "column": "code", "code": "code_taken", "detail": CodeTakenError.detail}]
    ),
}
# Of which schemas what is wrong is told by the rows of a file.
OF_ROWS = {"TokenBundlesImport": range(2, 1002)}
JSON = "application/json"
# What API Gateway answers by itself, without a function.
GATEWAYS_OWN = {UnauthorizedError, ForbiddenError, NotFoundError, ApiError, DatabaseUnavailableError}


def write(document: dict[str, Any]) -> None:
    """Write the document as it is committed."""
    COMMITTED.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def document() -> dict[str, Any]:
    """Describe every route of the template, but those that only stand for a slash at the end."""
    frame: dict[str, Any] = yaml.safe_load(FRAME.read_text())
    template = local_template()
    if (folder := str(template.code_folder)) not in sys.path:
        sys.path.insert(0, folder)
    routes = [route for route in template.routes if not route.path.endswith("+}")]
    writer = _Writer(examples=frame.pop("examples"), invalid=frame.pop("invalid"))
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = writer.operation(route, routes)
    components = frame.pop("components")
    components["responses"] = writer.responses
    components["schemas"] = dict(sorted((components["schemas"] | writer.schemas).items()))
    return {**frame, "paths": paths, "components": components}


class _Writer:
    """Writes operations, and collects the schemas and responses that they refer to."""

    def __init__(self, examples: dict[str, Any], invalid: dict[str, Any]) -> None:
        self.examples = examples
        self.invalid = invalid
        self.schemas: dict[str, Any] = {}
        self.responses: dict[str, Any] = {}

    def operation(self, route: Route, routes: list[Route]) -> dict[str, Any]:
        endpoint: Endpoint = route.function.load()
        parameters, body = self._parameters(endpoint)
        answer: Any = get_args(endpoint.function.__annotations__["return"])[0]
        answers = get_args(answer) if isinstance(answer, UnionType) else (answer,)
        contents = [self._content(one) for one in answers if one is not str]
        if str in answers:
            contents[0]["text/csv"] = {"schema": {"type": "string"}, "example": self.examples["File"]}
        return {
            "summary": (endpoint.function.__doc__ or "").rstrip("."),
            "operationId": _operation_id(route, routes),
            "parameters": parameters,
            **(
                {"requestBody": {"content": self._body_content(route, body), "required": True}}
                if body
                else {}
            ),
            "responses": self._responses(endpoint, parameters, body, contents),
            **_access(route),
        }

    def _parameters(self, endpoint: Endpoint) -> tuple[list[dict[str, Any]], Any]:
        parameters: list[dict[str, Any]] = []
        body = None
        for name, source in endpoint.parameters.sources.items():
            annotation = endpoint.parameters.kinds[name]
            if source == "body":
                body = annotation
            elif source == "query":
                for field, declared in self._schema(annotation)["properties"].items():
                    schema = _present(declared)
                    style = {"style": "form", "explode": False} if schema.get("type") == "array" else {}
                    parameters.append(_parameter("query", field, schema) | style)
            elif source == "header":
                for field in annotation.model_fields.values():
                    header = next(mark for mark in field.metadata if isinstance(mark, Header))
                    schema = self._schema(Annotated[(field.annotation, *field.metadata)])
                    parameters.append(_header_parameter(header, schema))
            elif get_origin(annotation) is Annotated:
                header = next(mark for mark in get_args(annotation) if isinstance(mark, Header))
                parameters.append(_header_parameter(header, self._schema(annotation)))
            else:
                parameters.append(_parameter("path", name, self._schema(annotation)))
        return parameters, body

    def _responses(
        self,
        endpoint: Endpoint,
        parameters: list[dict[str, Any]],
        body: Any,
        contents: list[dict[str, Any]],
    ) -> dict[str, Any]:
        has = {ALWAYS, *(parameter[key] for parameter in parameters for key in ("in", "name"))}
        has |= {"body", body.__name__} if body else set()
        has |= {"a token"} if endpoint.access != "anyone" else set()
        has |= {"AsRead"} if body and issubclass(body, AsRead) else set()
        is_conditional = "If-Match" in {*has, *endpoint.refuses}
        has |= {"a version"} if is_conditional and endpoint.access == "write" else set()
        has |= {"a version"} if body and hasattr(body, "read_file") else set()
        content, *preview = contents
        is_public = endpoint.access == "anyone"
        headers = ["ETag", "Vary"] if is_public else ["ETag"] if self._is_versioned(content) else []
        headers += ["Content-Disposition"] if "text/csv" in content else []
        headers += ["Location"] if endpoint.status == HTTPStatus.CREATED else []
        headers += [REPLAYED] if "Idempotency-Key" in has else []
        if preview and endpoint.status == HTTPStatus.OK:
            (of_preview,) = preview
            schemas = [one[JSON]["schema"] for one in (content, of_preview)]
            examples = {
                name: {"value": one[JSON]["example"]}
                for name, one in (("done", content), ("validate_only", of_preview))
            }
            content = {JSON: {"schema": {"anyOf": schemas}, "examples": examples}}
        success: dict[str, Any] = {"description": HTTPStatus(endpoint.status).phrase, "content": content}
        responses = {str(endpoint.status): success | _headers(headers)}
        if preview and endpoint.status != HTTPStatus.OK:
            told = {"description": "What would come of it, with `validate_only`.", "content": preview[0]}
            responses["200"] = told | _headers([REPLAYED] if REPLAYED in headers else [])
        annotations = endpoint.function.__annotations__.values()
        if is_public or ConditionsOfRead in annotations:
            responses["304"] = {"description": "The caller has the current version."} | _headers(headers)
        if invalid := {name: errors for name, errors in self.invalid.items() if name in has}:
            responses["400"] = _invalid_response(invalid)
            if "path" in has:
                # API Gateway itself refuses what no path can have.
                responses["400"]["content"][JSON] = _gateways_own(HTTPStatus.BAD_REQUEST)
        errors = [*endpoint.raises, *(error for error, needed in ERRORS.items() if needed in has)]
        for status, alike in groupby(sorted(errors, key=lambda error: error.status), lambda e: e.status):
            of_status = list(alike)
            of_many = BodyTooLargeError in of_status and endpoint.parameters.max_kibibytes > MAX_KIBIBYTES
            name = "Or".join(error.__name__.removesuffix("Error") for error in of_status) + "Error"
            name += "OfMany" if of_many else ""
            samples = [
                error(endpoint.parameters.max_kibibytes)
                if error is BodyTooLargeError
                else SAMPLE_ERRORS.get(error) or _sample_error(error)
                for error in of_status
            ]
            self.responses[name] = _problem_response(samples)
            responses[str(status)] = {"$ref": f"#/components/responses/{name}"}
        return responses

    def _content(self, kind: Any) -> dict[str, Any]:
        name = _schema_name(kind)
        self.schemas[name] = _without_titles(self._schema(kind))
        reference = {"$ref": REFERENCE + name}
        try:
            return {JSON: {"schema": reference, "example": self._example(reference)}}
        except KeyError as missing:
            raise UserError(f"{name} wants an example in dev/openapi.yaml, for its {missing}.") from None

    def _body_content(self, route: Route, kind: Any) -> dict[str, Any]:
        content = self._content(kind)
        if route.method == "PATCH":
            content["application/merge-patch+json"] = content[JSON]
        if hasattr(kind, "read_file"):
            file = {
                "schema": {"type": "string", "format": "binary"},
                "example": self.examples["ImportedFile"],
            }
            content |= dict.fromkeys(FILE_TYPES, file)
        return content

    def _schema(self, kind: Any) -> dict[str, Any]:
        schema = TypeAdapter(kind).json_schema(ref_template=REFERENCE + "{model}")
        self.schemas |= _without_titles(schema.pop("$defs", {}))
        return schema

    def _example(self, schema: dict[str, Any], given: Any = MISSING) -> Any:
        """Complete an example with what is required, as its schema or its type has it."""
        match schema:
            case {"$ref": reference}:
                name = reference.removeprefix(REFERENCE)
                known = self.examples.get(name, {}) if given is MISSING else given
                return self._example(self.schemas[name], known)
            case {"properties": properties}:
                wanted = {*given, *schema.get("required", ())}
                parts = {name: part for name, part in properties.items() if name in wanted}
                return {name: self._example(part, given.get(name, MISSING)) for name, part in parts.items()}
            case {"items": item}:
                return [self._example(item, one) for one in ([MISSING] if given is MISSING else given)]
        return _sample(schema) if given is MISSING else given

    def _is_versioned(self, content: dict[str, Any]) -> bool:
        """Tell whether a body has a schema within it that has a version."""
        name = content[JSON]["schema"]["$ref"].removeprefix(REFERENCE)
        within = [part.get("$ref", "") for part in self.schemas[name]["properties"].values()]
        schemas = [self.schemas[reference.removeprefix(REFERENCE)] for reference in within if reference]
        return any("version" in schema["properties"] for schema in schemas)


def _access(route: Route) -> dict[str, Any]:
    if not route.authorized:
        return {"description": "Needs no token.", "tags": ["shop"], "security": []}
    (scope,) = route.scopes
    # The tag is the resource, and so is what a scope begins with.
    resource = scope.partition(":")[0]
    return {
        "description": f"Needs a token with the scope `{scope}`.",
        "tags": [resource],
        "security": [{"jwt": [scope]}],
    }


def _sample(schema: dict[str, Any]) -> Any:
    match schema:
        case {"examples": [example, *_]} | {"enum": [example, *_]} | {"default": example}:
            return example
        case {"anyOf": [first, *_]}:
            return _sample(first)
    return SAMPLES[str(schema.get("format") or schema.get("type"))]


def _sample_error(error: type[ApiError]) -> ApiError:
    try:
        return error()
    except TypeError:
        raise UserError(f"{error.__name__} wants an example in SAMPLE_ERRORS of dev/openapi.py.") from None


def _operation_id(route: Route, routes: list[Route]) -> str:
    """Name an operation as its function's module, and another method of the same function by that method."""
    first = next(other for other in routes if other.function == route.function)
    name = route.function.module
    return name if first == route else re.sub("^[^_]+", route.method.lower(), name)


def _schema_name(kind: Any) -> str:
    """Name a page after what is on it."""
    items = [item.__name__.removesuffix("Read") for item in get_args(kind)]
    return "".join([*items, (get_origin(kind) or kind).__name__])


def _parameter(place: str, name: str, schema: dict[str, Any]) -> dict[str, Any]:
    schema = _without_titles(schema)
    description = {"description": schema.pop("description")} if "description" in schema else {}
    return description | {"required": place == "path", "schema": schema, "name": name, "in": place}


def _header_parameter(header: Header, schema: dict[str, Any]) -> dict[str, Any]:
    examples = {"examples": [header.example]} if header.example else {}
    present = _present(schema)
    return _parameter("header", header.name, {"description": header.description, **examples, **present})


def _present(schema: dict[str, Any]) -> dict[str, Any]:
    """What a parameter is: what is absent is not null."""
    rest = {name: value for name, value in schema.items() if name not in {"anyOf", "default"}}
    choices: list[dict[str, Any]] = [
        choice for choice in schema.get("anyOf", ()) if choice != {"type": "null"}
    ]
    return rest | choices[0] if len(choices) == 1 else schema


def _invalid_response(invalid: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    examples = {
        "requestBody" if errors[0]["loc"][0] == "body" else name: {
            "value": _body(problem(InvalidRequestError(errors, OF_ROWS.get(name)), REQUEST_ID))
        }
        for name, errors in invalid.items()
    }
    return {
        "description": "A field, parameter or header is wrong; `errors` names each, a hundred at most.",
        "content": {PROBLEM_JSON: {"schema": {"$ref": REFERENCE + "Problem"}, "examples": examples}},
    } | _headers([])


def _gateways_own(status: int) -> dict[str, Any]:
    return {
        "schema": {"$ref": REFERENCE + "GatewayMessage"}, "example": {"message": HTTPStatus(status).phrase}
    }  # fmt: skip


def _problem_response(samples: list[ApiError]) -> dict[str, Any]:
    examples = {type(one).__name__: {"value": _body(problem(one, REQUEST_ID))} for one in samples}
    first, kind = samples[0], type(samples[0])
    shown = {"examples": examples} if samples[1:] else {"example": examples[kind.__name__]["value"]}
    content: dict[str, Any] = {PROBLEM_JSON: {"schema": {"$ref": REFERENCE + "Problem"}, **shown}}
    if kind in GATEWAYS_OWN:
        content[JSON] = _gateways_own(first.status)
    description = " ".join(str(type(one).__doc__) for one in samples)
    return {"description": description, "content": content} | _headers(HEADERS_OF_ERRORS.get(kind, []))


def _body(response: Any) -> Any:
    return json.loads(response.body)


def _headers(names: list[str]) -> dict[str, Any]:
    """Refer to headers, and to the one that every response of a function has."""
    return {"headers": {name: {"$ref": f"#/components/headers/{name}"} for name in [*names, "Cache-Control"]}}


def _without_titles(schema: dict[str, Any]) -> dict[str, Any]:
    """Leave out pydantic's titles, which are the names once more."""

    def leave_out(part: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value for name, value in part.items() if not (name == "title" and isinstance(value, str))
        }

    cleaned: dict[str, Any] = json.loads(json.dumps(schema), object_hook=leave_out)
    return cleaned
