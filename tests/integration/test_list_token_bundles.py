"""GET /token-bundles."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.client import BUNDLES, READ, WRITE, Answer, event, invoke, request

pytestmark = pytest.mark.usefixtures("connection")

MAX_BIG_INTEGER = 2**63 - 1


def add(name: str, **fields: Any) -> dict[str, Any]:
    answer = request("POST", json_body={"name": name, "token_amount": 1, "price": 1} | fields)
    assert answer.status == 201
    return answer.bundle


def listed(**query: str) -> Answer:
    return request("GET", query=query)


def names(**query: str) -> list[str]:
    answer = listed(**query)
    assert answer.status == 200, answer.text
    return [item["name"] for item in answer.json["items"]]


class TestList:
    def test_anonymous(self) -> None:
        assert request("GET", scope=None).status == 401

    def test_writer(self) -> None:
        assert request("GET", scope=WRITE).status == 403

    @pytest.mark.parametrize("path", ["", "/"])
    def test_empty(self, path: str) -> None:
        answer = request("GET", path, scope=READ)
        assert answer.status == 200
        assert answer.json == {"items": [], "total": 0, "page": 1, "per_page": 20, "pages": 0}

    def test_items_are_bundles(self) -> None:
        bundle = add("One")
        assert listed().json["items"] == [bundle]


class TestPages:
    @pytest.fixture(autouse=True)
    def fill(self, connection: Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO token_bundle (name, token_amount, price)"
                " SELECT 'Bundle ' || to_char(n, 'FM00'), 1, 1 FROM generate_series(0, 51) n"
            )
        )

    def test_first_page(self) -> None:
        page = listed().json
        assert [item["name"] for item in page.pop("items")] == [f"Bundle {number:02}" for number in range(20)]
        assert page == {"total": 52, "page": 1, "per_page": 20, "pages": 3}

    def test_last_page(self) -> None:
        page = listed(page="3").json
        assert [item["name"] for item in page["items"]] == [f"Bundle {number}" for number in range(40, 52)]

    @pytest.mark.parametrize("page", ["4", "1000000", "3000000000", str(MAX_BIG_INTEGER), "0004"])
    def test_past_the_end(self, page: str) -> None:
        answer = listed(page=page)
        assert answer.status == 200
        assert answer.json == {"items": [], "total": 52, "page": int(page), "per_page": 20, "pages": 3}

    @pytest.mark.parametrize(
        ("asked", "given", "pages"), [("1", 1, 52), ("52", 52, 1), ("100", 100, 1), ("101", 100, 1)]
    )
    def test_per_page(self, asked: str, given: int, pages: int) -> None:
        page = listed(per_page=asked).json
        assert (page["per_page"], page["pages"], len(page["items"])) == (given, pages, min(given, 52))

    def test_per_page_is_cut_however_large(self) -> None:
        assert listed(per_page=str(MAX_BIG_INTEGER)).json["per_page"] == 100

    def test_no_bundle_repeats_or_goes_missing(self) -> None:
        for sort in ("price", "-created_at", "token_amount,-price"):
            seen = [
                item["id"]
                for page in range(1, 9)
                for item in listed(sort=sort, page=str(page), per_page="7").json["items"]
            ]
            assert len(seen) == len(set(seen)) == 52


class TestFilters:
    @pytest.fixture(autouse=True)
    def fill(self, connection: Connection) -> None:
        for name, active in [
            ("Alpha", True),
            ("beta", False),
            ("100% off", True),
            ("a_b", True),
            ("a\\b", False),
        ]:
            add(name, is_active=active)
        add("Ärger ÉTÉ")

    @pytest.mark.parametrize("value", ["true", "TRUE", "True"])
    def test_inactive_included(self, value: str) -> None:
        assert len(names(include_inactive=value)) == len(names()) == 6

    @pytest.mark.parametrize("value", ["false", "FALSE", "False"])
    def test_inactive_left_out(self, value: str) -> None:
        page = listed(include_inactive=value).json
        assert {item["name"] for item in page["items"]} == {"Alpha", "100% off", "a_b", "Ärger ÉTÉ"}
        assert page["total"] == 4

    @pytest.mark.parametrize(
        ("q", "found"),
        [
            ("", 6), ("alp", {"Alpha"}), ("ALPHA", {"Alpha"}), ("BETA", {"beta"}), ("et", {"beta"}),
            ("%", {"100% off"}), ("_", {"a_b"}), ("\\", {"a\\b"}), ("/", set()), ("a%", set()),
            ("0% O", {"100% off"}), ("zzz", set()),
            ("äRGER", {"Ärger ÉTÉ"}), ("été", {"Ärger ÉTÉ"}), ("' OR '1'='1", set()), ("a,b", set()),
        ],
    )  # fmt: skip
    def test_part_of_the_name(self, q: str, found: set[str] | int) -> None:
        page = listed(q=q).json
        if isinstance(found, int):
            assert page["total"] == found
        else:
            assert {item["name"] for item in page["items"]} == found
            assert page["total"] == len(found)

    def test_comma_is_an_ordinary_character(self) -> None:
        add("one,two")
        assert names(q="e,T") == ["one,two"]

    def test_together(self) -> None:
        assert names(q="A", include_inactive="false", sort="-name") == ["a_b", "Alpha"]

    def test_unknown_parameters_are_ignored(self) -> None:
        assert len(names(colour="red", pages="0")) == 6


class TestOrder:
    @pytest.fixture(autouse=True)
    def fill(self, connection: Connection) -> None:
        add("c", sort_order=1, price=2, token_amount=30)
        add("a", sort_order=2, price=10, token_amount=10)
        add("b", sort_order=1, price=2, token_amount=20)

    @pytest.mark.parametrize(
        ("sort", "order"),
        [
            (None, "bca"), ("sort_order,name", "bca"), ("-sort_order,name", "abc"), ("name", "abc"),
            ("-name", "cba"),
            ("price,name", "bca"), ("-price,-name", "acb"), ("token_amount", "abc"), ("-token_amount", "cba"),
            ("price,-token_amount", "cba"), ("name,name", "abc"),
        ],
    )  # fmt: skip
    def test_sorted(self, sort: str | None, order: str) -> None:
        assert names(**({} if sort is None else {"sort": sort})) == list(order)

    def test_by_time(self) -> None:
        items = listed().json["items"]
        target = next(item for item in items if item["name"] == "c")
        request("PATCH", f"/{target['id']}", json_body={"description": "changed"})
        assert names(sort="-updated_at")[0] == "c"
        assert len(names(sort="created_at")) == 3


WRONG = {
    "page": [
        "", "0", "-1", "abc", "1.0", "+1", " 1", "1_0", "\uff11", "1,2", "\0", "\ud800",
        str(MAX_BIG_INTEGER + 1), "9" * 30, "9" * 5000,
    ],
    "per_page": ["", "0", "-5", "x", "9" * 30],
    "include_inactive": ["", "maybe", "1", "yes", "true,false", " true"],
    "sort": ["", "-", "color", "name,", "--name", "Name", "id", "name;price", "name, price", "name desc"],
    "q": ["a\0b", "\ud800"],
}  # fmt: skip


class TestWrongParameters:
    @pytest.mark.parametrize(
        ("parameter", "value"),
        [(parameter, value) for parameter, values in WRONG.items() for value in values],
    )
    def test_is_named(self, parameter: str, value: str) -> None:
        # By hand, because a query cannot hold a lone surrogate, but an event can.
        crafted = event("GET", BUNDLES, claims={"sub": "a", "scope": READ})
        answer = invoke(crafted | {"queryStringParameters": {parameter: value}})
        assert answer.status == 400
        assert [error["parameter"] for error in answer.json["errors"]] == [parameter]
        assert answer.json["detail"].startswith(f"{parameter}: ")
        assert answer.json["detail"] == answer.json["error"]

    def test_all_are_named(self) -> None:
        answer = listed(page="0", per_page="x", include_inactive="?", sort="?", q="\0")
        assert {error["parameter"] for error in answer.json["errors"]} == set(WRONG)
