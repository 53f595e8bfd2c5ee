"""The built artifact, run by the emulator of Lambda's runtime and the Python that is deployed."""

import json
import re
from http import HTTPStatus
from pathlib import Path

import pytest

from dev.database.postgres import postgres
from dev.emulator import EMULATOR, Function, running
from dev.openapi import COMMITTED
from tests.client import TEMPLATE, event

DOCUMENT = json.loads(COMMITTED.read_text())
CLAIMS = {"sub": "smoke", "scope": " ".join({scope for route in TEMPLATE.routes for scope in route.scopes})}

pytestmark = pytest.mark.skipif(not EMULATOR, reason="only `make smoke` has built what this runs")


def test_one_pass_over_all_routes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    functions: list[Function] = []
    with postgres(tmp_path / "data", durable=False) as url:
        with running("Migrate", "migrate.handler", url, tmp_path) as migrate:
            outcome = migrate.invoke({"command": "upgrade"})
            assert outcome["after"], outcome
            assert migrate.invoke({"command": "current"})["after"] == outcome["after"]
            functions.append(migrate)

        created: dict[str, str] = {}
        order = ["POST", "GET", "PUT", "PATCH", "DELETE"]
        routes = sorted(TEMPLATE.routes, key=lambda route: order.index(route.method))
        for function in dict.fromkeys(route.function for route in routes):
            with running(function.name, function.handler, url, tmp_path) as emulated:
                for route in (route for route in routes if route.function == function):
                    # The shop's is of what admins have created.
                    known = next((id_ for name, id_ in created.items() if f"/{name}" in route.path), "")
                    path = re.sub("{.+?}", known, route.path.replace("{proxy+}", ""))
                    status, body = _documented(route.method, route.path)
                    body = body and re.sub(r"\w{8}(-\w{4}){3}-\w{12}", known, body)
                    # With the key, the route with a slash may create what must be unique once more.
                    key = {"idempotency-key": "smoke"} if status == HTTPStatus.CREATED else {}
                    headers = {"content-type": "application/json", **key} if body else {}
                    answer = emulated.invoke(
                        event(route.method, path, body=body, headers=headers, claims=CLAIMS)
                    )
                    assert answer["statusCode"] == status, answer
                    if status == HTTPStatus.CREATED:
                        (resource,) = json.loads(answer["body"]).values()
                        created[route.path.partition("/{")[0].rpartition("/")[2]] = resource["id"]
                functions.append(emulated)

        with capsys.disabled():
            print("\ninit ms  first ms  function")
            for emulated in functions:
                first = emulated.seconds[0] * 1000
                print(f"{emulated.init_milliseconds:7.0f}  {first:8.0f}  {emulated.name}")


def _documented(method: str, path: str) -> tuple[int, str | None]:
    """Return the status of success, and the body that is the example."""
    operation = DOCUMENT["paths"][path.removesuffix("/{proxy+}")][method.lower()]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    # Where a creation has two, the other one is for what is only looked at.
    status = max(status for status in operation["responses"] if status < "300")
    return int(status), body and json.dumps(body["example"])
