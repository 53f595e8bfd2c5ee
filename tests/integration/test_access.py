"""What holds for every endpoint: who may call it, and how it says no."""

import io
import json
import logging
import re
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from dev.gateway.template import Route
from dev.local import ROOT
from shared.errors import ApiError, DatabaseUnavailableError, OtherCurrencyError
from shared.logs import logger
from tests.client import BUNDLES, READ, REQUEST_ID, TEMPLATE, WRITE, event, handler_of, invoke, request
from tests.conftest import use_settings
from tests.integration.conftest import Counted
from tests.integration.test_addresses import BODIES

OUR_BUG = "Something went wrong on our side: please report it, with the request id."
ROUTES = TEMPLATE.routes
SCOPES = sorted({scope for route in ROUTES for scope in route.scopes})
every_route = pytest.mark.parametrize(
    "route", [route for route in ROUTES if route.authorized], ids=lambda route: route.key
)
every_route_of_one = pytest.mark.parametrize(
    "route", [route for route in ROUTES if re.search(r"{\w+}", route.path)], ids=lambda route: route.key
)


def path_of(route: Route, row_id: str) -> str:
    return re.sub(r"{\w+}", row_id, route.path.replace("{proxy+}", ""))


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What is logged; the handler's stream is the standard output of whenever it was made."""
    handler = logger.registered_handler
    assert isinstance(handler, logging.StreamHandler)
    log = io.StringIO()
    before = handler.setStream(log)
    yield log
    handler.setStream(before)


@every_route
class TestEveryRoute:
    def test_an_event_from_nowhere(self, route: Route) -> None:
        for nothing in ({}, {"requestContext": None}, {"requestContext": {"authorizer": "x"}}):
            answer = handler_of(route.function.handler)(nothing, None)
            assert answer["statusCode"] == 401
            assert json.loads(answer["body"])["request_id"] == ""
            assert answer["headers"]["Cache-Control"] == "no-store"

    def test_the_other_scope_is_not_enough(self, route: Route) -> None:
        others = " ".join(scope for scope in SCOPES if scope not in route.scopes)
        claims = {"sub": "a", "scope": others}
        sent = event(route.method, path_of(route, str(uuid4())), body="{malformed", claims=claims)
        answer = invoke(sent)
        assert answer.status == 403
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json["title"] == "Forbidden"


@every_route_of_one
@pytest.mark.parametrize(
    "row_id", ["00000000-0000-0000-0000-000000000000", "no-uuid", "%00", "\ud800", "\r\nX: y", "a" * 9000]
)
@pytest.mark.parametrize("tags", [None, '"1"', "*"])
@pytest.mark.usefixtures("connection")
def test_there_is_no_such_row(route: Route, row_id: str, tags: str | None) -> None:
    headers = {"content-type": "application/json"} | (
        {"if-match": tags, "if-none-match": tags} if tags else {}
    )
    claims = {"sub": "a", "scope": "".join(route.scopes)}
    body = json.dumps(BODIES.get(route.function.module, {}) if route.method == "POST" else {})
    answer = invoke(event(route.method, path_of(route, row_id), body=body, headers=headers, claims=claims))
    assert answer.status == 404
    assert answer.json["title"] == "Not Found"
    # One that cannot be is no other than one that is not.
    assert answer.json["detail"] == answer.json["error"] == "It does not exist, or not any more."
    assert "errors" not in answer.json


class TestCaches:
    @pytest.mark.usefixtures("connection")
    def test_keep_only_one_bundle_and_ask_each_time(self) -> None:
        def kept(method: str, path: str = "", **parts: Any) -> tuple[int, str]:
            answer = request(method, path, **parts)
            return answer.status, answer.headers["cache-control"]

        fields = {"name": "n", "token_amount": 1, "price": 1}
        path = f"/{request('POST', json_body=fields).bundle['id']}"
        assert kept("GET", path) == (200, "private, no-cache")
        assert kept("GET", path, headers={"if-none-match": '"1"'}) == (304, "private, no-cache")
        assert kept("GET", path, headers={"if-match": '"2"'}) == (412, "no-store")
        assert kept("GET", path, headers={"if-match": "2"}) == (400, "no-store")
        assert kept("GET", f"/{uuid4()}") == (404, "no-store")
        for method, below in [("GET", ""), ("GET", "/"), ("GET", f"{path}/history")]:
            assert kept(method, below) == (200, "no-store")
        assert kept("POST", json_body=fields) == (201, "no-store")
        assert kept("POST", body="{") == (400, "no-store")
        assert kept("PUT", path, json_body={}) == (200, "no-store")
        assert kept("POST", f"{path}/activate") == (200, "no-store")
        assert kept("DELETE", path) == (200, "no-store")


class TestScopes:
    @pytest.mark.parametrize(
        "claims",
        [
            {"scope": READ},
            {"scope": f"openid {READ} {WRITE}"},
            {"scp": READ},
            {"scp": f"[openid {READ}]"},
            {"scope": "openid", "scp": f"[{READ}]"},
        ],
    )
    def test_either_claim_counts(self, claims: dict[str, str]) -> None:
        path = f"{BUNDLES}/no-uuid"
        answer = invoke(event("GET", path, claims={"sub": "a", **claims}))
        assert answer.status == 404

    @pytest.mark.parametrize("scopes", ["{}", "openid {}", "[openid {}]"])
    def test_an_issuer_may_have_other_names_for_them(self, scopes: str) -> None:
        def status(scope: str) -> int:
            claims = {"sub": "a", "scope": scopes.format(scope)}
            return invoke(event("GET", f"{BUNDLES}/no-uuid", claims=claims)).status

        read, write = "https://api.example.com/bundles.read", "https://api.example.com/bundles.write"
        with use_settings(READ_SCOPE=read, WRITE_SCOPE=write):
            assert status(read) == 404
            assert status(READ) == status(write) == 403


class TestLogs:
    def test_each_line_has_the_request_id_and_no_secret(self, log: io.StringIO) -> None:
        path = f"{BUNDLES}/no-uuid"
        headers = {"authorization": "Bearer very.secret.token"}
        claims = {"sub": "jane@example.com", "scope": READ}
        invoke(event("GET", path, headers=headers, claims=claims))
        lines = [json.loads(line) for line in log.getvalue().splitlines()]
        assert [(line["message"], line["status"]) for line in lines] == [("answered", 404)]
        assert all(line["request_id"] == REQUEST_ID for line in lines)
        assert "secret" not in str(lines)
        assert "jane" not in str(lines)


class TestOurBugs:
    def test_tell_the_caller_nothing_and_the_log_everything(
        self, monkeypatch: pytest.MonkeyPatch, log: io.StringIO
    ) -> None:
        def broken(*_: object) -> None:
            raise RuntimeError("SELECT secret FROM somewhere")

        monkeypatch.setattr("shared.token_bundles.queries.get_bundle", broken)
        path = f"{BUNDLES}/{uuid4()}"
        answer = invoke(event("GET", path, claims={"sub": "a", "scope": READ}))
        assert answer.status == 500
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json["detail"] == answer.json["error"] == OUR_BUG
        assert answer.json["request_id"] == REQUEST_ID
        assert "SELECT" not in answer.text
        assert "RuntimeError" not in answer.text
        logged = log.getvalue()
        assert "SELECT secret FROM somewhere" in logged
        assert REQUEST_ID in logged


class TestMetrics:
    @pytest.mark.usefixtures("connection")
    def test_what_is_done_is_counted_once(self, counted: Counted) -> None:
        body = {"name": "n", "token_amount": 1, "price": 1}
        key = {"Idempotency-Key": "k"}
        created = request("POST", json_body=body, headers=key)
        request("POST", json_body=body, headers=key)
        request("POST", json_body=body | {"price": 2}, headers=key)
        path = f"/{created.bundle['id']}"
        request("GET", path)
        request("PATCH", path, json_body={"price": 2})
        request("PATCH", path, json_body={"price": "x"})
        request("PATCH", path, json_body={"price": 3}, headers={"If-Match": '"1"'})
        request("DELETE", path)
        done = ["BundlesCreated", "Conflicts", "BundlesUpdated", "Conflicts", "BundlesDeleted"]
        assert counted() == done

    @pytest.mark.parametrize(
        ("error", "metric"),
        [(DatabaseUnavailableError, "DatabaseErrors"), (OtherCurrencyError, "CurrencyErrors")],
    )
    def test_what_an_alarm_looks_at(
        self,
        error: type[ApiError],
        metric: str,
        monkeypatch: pytest.MonkeyPatch,
        counted: Counted,
    ) -> None:
        def fail(*_: object) -> None:
            raise error

        monkeypatch.setattr("shared.token_bundles.queries.list_bundles", fail)
        assert request("GET").status == 503
        assert counted() == [metric]
        assert f"MetricName: {metric}\n" in (ROOT / "template.yaml").read_text()

    @pytest.mark.usefixtures("connection")
    def test_nothing_is_printed_where_metrics_are_disabled(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Powertools prints what it has kept as soon as that is a hundred."""
        for _ in range(101):
            assert request("POST", json_body={"name": "n", "token_amount": 1, "price": 1}).status == 201
        assert capsys.readouterr().out == ""
