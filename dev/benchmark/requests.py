"""What is asked of whom: requests along all kinds of routes, and handlers that answer their events."""

import itertools
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dev.gateway.events import sample_event
from dev.gateway.template import Function, local_template

TEMPLATE = local_template()
BUNDLES = "/api/v1/admin/token-bundles"
NEW = {"name": "Benchmark", "token_amount": 1000, "price": "9.90"}
CLAIMS = {"sub": "benchmark", "scope": "token-bundles:read token-bundles:write"}

sys.path.insert(0, str(TEMPLATE.code_folder))


class Request(NamedTuple):
    """A request to the API."""

    method: str
    path: str = BUNDLES
    body: Mapping[str, Any] | str | None = None
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


class Sample(NamedTuple):
    """How long an answer took, in microseconds, its body, and the entity tag of that."""

    wall: float
    cpu: float
    body: str
    etag: str


Ask = Callable[[Request], Sample]


def asking(handler_of: Callable[[Function], Callable[..., Any]]) -> Ask:
    """Hand events to the handlers of functions, and time nothing but those."""

    def ask(request: Request) -> Sample:
        method, path, body, query, headers = request
        found = TEMPLATE.route(method, path)
        if found is None:
            raise LookupError(f"the template has no route {method} {path}")
        content = body if isinstance(body, str) else json.dumps(body) if body else ""
        event = sample_event(found[0], path, body=content, query=query, headers=headers, claims=CLAIMS)
        handler = handler_of(found[0].function)
        wall, cpu = time.perf_counter(), time.process_time()
        answer = handler(event, None)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        if answer["statusCode"] not in {200, 201, 304}:
            raise ValueError(f"this would measure errors: {answer}")
        etag = {name.lower(): value for name, value in answer["headers"].items()}.get("etag", "")
        return Sample(wall * 1e6, cpu * 1e6, answer["body"], etag)

    return ask


def ask_ours(request: Request) -> Sample:
    """Ask the functions of this project, in the process that calls this."""
    return asking(Function.load)(request)


def requests(ask: Ask) -> dict[str, Callable[[], Request]]:
    """Create a bundle, and return what prepares the next request along each route."""

    def create() -> str:
        return f"{BUNDLES}/{json.loads(ask(Request('POST', body=NEW)).body)['bundle']['id']}"

    bundle = create()
    prices = (f"{number}.10" for number in itertools.count())
    return {
        "GET one": lambda: Request("GET", bundle),
        "page of 20": lambda: Request("GET"),
        "page of 100": lambda: Request("GET", query={"per_page": "100"}),
        "POST": lambda: Request("POST", body=NEW),
        "PUT": lambda: Request("PUT", bundle, {"price": next(prices)}),
        "DELETE": lambda: Request("DELETE", create()),
    }
