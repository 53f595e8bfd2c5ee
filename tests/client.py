"""Calls the functions as API Gateway does: with events of payload format 2.0, along the template's routes."""

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any
from urllib.parse import parse_qsl, urljoin

from dev.gateway.events import joined, sample_event
from dev.gateway.template import Route, local_template

BUNDLES = "/api/v1/admin/token-bundles"
READ = "token-bundles:read"
WRITE = "token-bundles:write"
CATALOGUE = "/api/v1/token-bundles"
# What anyone may ask for, without a token.
PUBLIC = {f"GET {CATALOGUE}", f"GET {CATALOGUE}/{{bundle_id}}", f"GET {CATALOGUE}/{{proxy+}}"}
TEMPLATE = local_template()
SCOPES = " ".join(sorted({scope for route in TEMPLATE.routes for scope in route.scopes}))
REQUEST_ID = "JKJaXmPLvHcESHA="


@dataclass(frozen=True)
class Answer:
    """An answer of a function."""

    status: int
    headers: Mapping[str, str]
    text: str
    path: str = ""

    @property
    def location(self) -> str:
        """Where `Location` leads from the address of the request."""
        return urljoin(self.path, self.headers["location"])

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.text)

    @property
    def bundle(self) -> dict[str, Any]:
        """The bundle in the body."""
        bundle: dict[str, Any] = self.json["bundle"]
        return bundle


def event(
    method: str,
    path: str,
    *,
    route: Route | None = None,
    variables: Mapping[str, str] | None = None,
    body: str | None = None,
    base64: bool = False,
    query: Mapping[str, str] | str | None = None,
    headers: Mapping[str, str] | None = None,
    claims: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Build the event of a request; without claims it comes from nobody.

    What API Gateway would not let through, in any part, is in it as it is given. Without a route it has that
    of the path in the template, and its variables. A query that is a text is that of the address.
    """
    if route is None:
        found = TEMPLATE.route(method, path)
        assert found, f"the template has no route {method} {path}"
        route, variables = found
    sample = sample_event(route, "/", claims=claims)
    http = sample["requestContext"]["http"] | {"path": path}
    raw_query = query if isinstance(query, str) else ""
    if isinstance(query, str):
        query = joined(parse_qsl(query, keep_blank_values=True))
    return {
        **sample,
        "rawPath": path,
        "rawQueryString": raw_query,
        "headers": {"host": "localhost", **(headers or {})},
        "requestContext": sample["requestContext"] | {"http": http},
        "isBase64Encoded": base64,
        **({"pathParameters": given} if (given := {n: v for n, v in (variables or {}).items() if v}) else {}),
        **({"queryStringParameters": dict(query)} if query else {}),
        **({} if body is None else {"body": body}),
    }


@cache
def handler_of(name: str) -> Any:
    """Import a handler by the name it has in the template."""
    module, _, attribute = name.partition(".")
    return getattr(importlib.import_module(module), attribute)


def invoke(event: Mapping[str, Any]) -> Answer:
    """Hand an event to the function that the template names for its route."""
    (function,) = {route.function for route in TEMPLATE.routes if route.key == event["routeKey"]}
    answer = handler_of(function.handler)(event, None)
    headers = {name.lower(): value for name, value in answer["headers"].items()}
    return Answer(answer["statusCode"], headers, answer["body"] or "", event["rawPath"])


def request(
    method: str,
    path: str = "",
    *,
    json_body: Any = None,
    body: str | None = None,
    query: Mapping[str, str] | str | None = None,
    headers: Mapping[str, str] | None = None,
    scope: str | None = SCOPES,
    subject: str = "admin-1",
    claims: Mapping[str, str] | None = None,
    collection: str = BUNDLES,
) -> Answer:
    """Send a request to a path below a collection; without a scope it comes from nobody.

    Claims other than the subject replace it.
    """
    if json_body is not None:
        body = json.dumps(json_body)
    headers = {**({} if body is None else {"content-type": "application/json"}), **(headers or {})}
    named = {"sub": subject} if claims is None else claims
    claims = None if scope is None else {**named, "scope": scope}
    full_path = f"{collection}{path}"
    return invoke(event(method, full_path, body=body, query=query, headers=headers, claims=claims))
