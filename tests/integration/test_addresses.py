"""Every route answers alike behind a named stage, and behind a domain with a mapping to the API.

AWS says that `rawPath` lacks what is mapped; others have seen it there, or the stage in its place:
https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
https://github.com/CodeGenieApp/serverless-express/issues/465
"""

import json
import re
from typing import Any, NamedTuple
from urllib.parse import urljoin, urlsplit

import pytest
from sqlalchemy import Connection

from dev.gateway.template import Route
from tests.client import BUNDLES, CATALOGUE, READ, TEMPLATE, WRITE, Answer, event, invoke

CLAIMS = {"sub": "admin-1", "scope": f"{READ} {WRITE}"}
ROUTES = [route for route in TEMPLATE.routes if route.path.startswith((BUNDLES, CATALOGUE))]
PASSING = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\d{4}-\d\d-\d\dT[\d:.]+Z"
BODIES: dict[str, dict[str, Any]] = {
    "create_token_bundle": {"name": "New", "token_amount": 1, "price": "1"},
    "update_token_bundle": {"name": "Other"},
    "update_token_bundles": {"bundles": [{"name": "Other"}]},
    "import_token_bundles": {"bundles": [{"name": "Imported"}]},
    "restore_token_bundle": {"version": 1},
}


class Address(NamedTuple):
    """Where the API answers: what a caller sees before the path, and what a function does."""

    seen: str
    in_the_event: str
    stage: str


DIRECT = Address("https://a1b2c3.execute-api.eu-central-1.amazonaws.com", "", "$default")
OTHERS = {
    "named stage": Address(f"{DIRECT.seen}/prod", "/prod", "prod"),
    "named stage, left out": Address(f"{DIRECT.seen}/prod", "", "prod"),
    "domain": Address("https://api.example.com", "", "$default"),
    "mapping": Address("https://api.example.com/shop/v2", "/shop/v2", "$default"),
    "mapping, left out": Address("https://api.example.com/shop/v2", "", "$default"),
    "mapping to a named stage": Address("https://api.example.com/shop", "/prod", "prod"),
}


def path_of(route: Route, bundle: dict[str, Any]) -> str:
    return route.path.replace("{bundle_id}", bundle["id"]).replace("{proxy+}", "")


def ask(route: Route, path: str, address: Address, bundle_id: str = "") -> Answer:
    body = BODIES.get(route.function.module)
    if body and "bundles" in body:
        body = {"bundles": [{"id": bundle_id, **body["bundles"][0]}]}
    sent = event(
        route.method,
        path,
        route=route,
        variables=route.path_parameters(path),
        body=None if body is None else json.dumps(body),
        headers={} if body is None else {"content-type": "application/json"},
        claims=CLAIMS,
    )
    context, raw_path = sent["requestContext"], address.in_the_event + path
    context = context | {
        "http": context["http"] | {"path": raw_path},
        "stage": address.stage,
        "domainName": urlsplit(address.seen).netloc,
    }
    return invoke(sent | {"rawPath": raw_path, "requestContext": context})


def lasting(answer: Answer) -> tuple[int, dict[str, str], str]:
    """What does not differ from one request to the next, as ids and times do."""
    headers = {name: re.sub(PASSING, "…", value) for name, value in answer.headers.items()}
    return answer.status, headers, re.sub(PASSING, "…", answer.text)


@pytest.mark.parametrize("address", OTHERS.values(), ids=OTHERS)
@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.key)
def test_every_route_answers_alike(
    connection: Connection, bundle: dict[str, Any], route: Route, address: Address
) -> None:
    path = path_of(route, bundle)
    with connection.begin_nested() as first:
        directly = ask(route, path, DIRECT, bundle["id"])
        first.rollback()

    assert directly.status in {200, 201}
    assert lasting(ask(route, path, address, bundle["id"])) == lasting(directly)


@pytest.mark.usefixtures("connection")
@pytest.mark.parametrize("address", [DIRECT, *OTHERS.values()], ids=["directly", *OTHERS])
@pytest.mark.parametrize("slash", ["", "/"])
def test_the_location_is_right_for_who_has_asked(slash: str, address: Address) -> None:
    path = f"{BUNDLES}{slash}"
    found = TEMPLATE.route("POST", path)
    assert found

    answer = ask(found[0], path, address)

    location = urljoin(f"{address.seen}{path}", answer.headers["location"])
    assert location == f"{address.seen}{BUNDLES}/{answer.bundle['id']}"
