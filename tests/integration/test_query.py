"""What holds for the query of every route."""

import json
import re

import pytest

from dev.gateway.template import Route
from dev.sample_events import FOLDER
from tests.client import READ, SCOPES, TEMPLATE, event, invoke, request

pytestmark = pytest.mark.usefixtures("connection")

NO_ID = "00000000-0000-4000-8000-000000000000"
DUPLICATE = {"detail": "must be given only once", "code": "duplicate"}


@pytest.mark.parametrize("route", TEMPLATE.routes, ids=lambda route: route.key)
@pytest.mark.parametrize("row_id", [NO_ID, "no-uuid"])
def test_a_parameter_is_given_once_on_every_route(route: Route, row_id: str) -> None:
    path = re.sub(r"{\w+_id}", row_id, route.path.replace("{proxy+}", ""))
    headers = {"content-type": "application/json"}
    claims = {"sub": "a", "scope": SCOPES}
    body = json.loads((FOLDER / f"{route.function.module}.json").read_text()).get("body")
    sent = event(route.method, path, body=body, query="colour=red&colour=", headers=headers, claims=claims)
    answer = invoke(sent)
    assert answer.status == 400
    assert answer.json["errors"] == [{"parameter": "colour", **DUPLICATE}]
    assert answer.json["detail"] == "colour: must be given only once"


class TestGivenTwice:
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ("page=1&page=1", ["page"]),
            ("page=0&page=x&page=2", ["page"]),
            ("page=1&p%61ge=2", ["page"]),
            ("page=1&per_page=2&page=1&per_page=2", ["page", "per_page"]),
            ("sort=name&sort=price", ["sort"]),
            ("sort=x&sort=y", ["sort"]),
            ("q=a&q=", ["q"]),
            ("q&q", ["q"]),
            ("a+b=1&a%20b=2", ["a b"]),
            ("=1&=2", [""]),
            ("%00=1&%00=2", ["\0"]),
        ],
    )
    def test_is_named_once(self, query: str, names: list[str]) -> None:
        answer = request("GET", query=query)
        assert answer.status == 400
        assert answer.json["errors"] == [{"parameter": name, **DUPLICATE} for name in names]

    def test_with_all_else_that_is_wrong(self) -> None:
        errors = request("GET", query="page=1&page=2&per_page=0").json["errors"]
        assert [error["parameter"] for error in errors] == ["page", "per_page"]

    @pytest.mark.parametrize(
        "query", ["q=a,a", "q=a%26q=b", "page=1&Page=1", "q=page=1&page=1", "&&page=1&&"]
    )
    def test_what_only_looks_like_it(self, query: str) -> None:
        assert request("GET", query=query).status == 200

    def test_an_event_that_has_no_raw_query(self) -> None:
        claims = {"sub": "a", "scope": READ}
        sent = event("GET", "/api/v1/admin/token-bundles", query={"page": "3"}, claims=claims)
        del sent["rawQueryString"]
        assert invoke(sent).json["page"] == 3


class TestSort:
    @pytest.mark.parametrize("sort", ["name,name", "name,-name", "price,name,-price"])
    def test_each_key_once(self, sort: str) -> None:
        answer = request("GET", query={"sort": sort})
        assert answer.status == 400
        sentence = "must have each of them only once"
        assert answer.json["errors"] == [{"parameter": "sort", "detail": sentence, "code": "duplicate_items"}]

    def test_all_of_them(self) -> None:
        sort = "sort_order,-name,-code,price,token_amount,-created_at,updated_at"
        assert request("GET", query={"sort": sort}).status == 200


class TestHowMuchIsSaid:
    def test_a_hundred_errors(self) -> None:
        for sort in ("," * 9300, ",".join(["x"] * 5000)):
            answer = request("GET", query={"sort": sort})
            assert answer.status == 400
            assert len(answer.json["errors"]) == 100
            assert len(answer.text) < 100_000

    def test_a_hundred_unknown_fields(self) -> None:
        body = dict.fromkeys((str(number) for number in range(150)), 0)
        answer = request("PATCH", f"/{NO_ID}", json_body=body)
        assert len(answer.json["errors"]) == 100
        assert answer.json["detail"].endswith("; 99: is not a field that can be set")
