"""The built artifact, run by the emulator of Lambda's runtime and the Python that is deployed."""

import json
from pathlib import Path
from typing import Any

import pg8000.native
import pytest
from sqlalchemy import make_url

from dev.database.postgres import postgres
from tests.client import BUNDLES, READ, TEMPLATE, WRITE, event
from tests.smoke.artifact import EMULATOR, Function, running

CLAIMS = {"sub": "smoke", "scope": f"{READ} {WRITE}"}

pytestmark = pytest.mark.skipif(not EMULATOR, reason="only `make smoke` has built what this runs")


def test_one_pass_over_all_routes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    functions: list[Function] = []
    with postgres(tmp_path / "data", durable=False) as server_url:
        server = make_url(server_url)
        with pg8000.native.Connection(
            "postgres", host=server.host, port=server.port, ssl_context=False
        ) as admin:
            admin.run("CREATE DATABASE smoke")
        url = server.set(database="smoke").render_as_string(hide_password=False)

        with running("Migrate", "migrate.handler", url, tmp_path) as migrate:
            outcome = migrate.invoke({"command": "upgrade"})
            assert outcome["after"], outcome
            assert migrate.invoke({"command": "current"})["after"] == outcome["after"]
            functions.append(migrate)

        bundle_id = ""
        order = ["POST", "GET", "PUT", "PATCH", "DELETE"]
        deleted_last = sorted(
            TEMPLATE.routes, key=lambda route: (route.method == "DELETE", order.index(route.method))
        )
        by_function = dict.fromkeys(route.function for route in deleted_last)
        for function in by_function:
            with running(function.name, function.handler, url, tmp_path) as emulated:
                for route in (route for route in deleted_last if route.function == function):
                    path = route.path.replace("{bundle_id}", bundle_id).replace("{proxy+}", "")
                    answer = emulated.invoke(_request(route.method, path))
                    assert answer["statusCode"] == (
                        201 if path.rstrip("/") == BUNDLES and route.method == "POST" else 200
                    ), answer
                    if answer["statusCode"] == 201:
                        bundle_id = json.loads(answer["body"])["bundle"]["id"]
                functions.append(emulated)

        with capsys.disabled():
            print("\ninit ms  first ms  function")
            for emulated in functions:
                first = emulated.seconds[0] * 1000
                print(f"{emulated.init_milliseconds:7.0f}  {first:8.0f}  {emulated.name}")


def _request(method: str, path: str) -> dict[str, Any]:
    body = {
        "POST": '{"name": "Smoke", "token_amount": 1, "price": "9.90"}'
        if path.rstrip("/") == BUNDLES
        else None,
        "PUT": '{"price": 5}',
        "PATCH": '{"price": 6}',
    }.get(method)
    headers = {"content-type": "application/json"} if body else {}
    return event(method, path, body=body, headers=headers, claims=CLAIMS)
