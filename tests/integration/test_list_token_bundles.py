"""GET /token-bundles."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.client import READ, Answer, request
from tests.postgres import recorded

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
    @pytest.mark.parametrize("path", ["", "/"])
    def test_empty(self, path: str) -> None:
        answer = request("GET", path, scope=READ)
        assert answer.status == 200
        assert answer.json == {"items": [], "total": 0, "page": 1, "per_page": 20, "pages": 0}

    def test_past_the_end_of_nothing(self) -> None:
        assert listed(page="2", per_page="1").json["total"] == 0

    def test_items_are_bundles(self) -> None:
        bundle = add("One")
        assert listed().json["items"] == [bundle]


class TestPages:
    @pytest.fixture(autouse=True)
    def fill(self, connection: Connection) -> None:
        connection.execute(
            text(
                recorded(
                    "INSERT INTO token_bundle (name, token_amount, price)"
                    " SELECT 'Bundle ' || to_char(n, 'FM00'), 1, 1 FROM generate_series(0, 51) n",
                    "created",
                )
            )
        )

    def test_first_page(self) -> None:
        page = listed().json
        assert [item["name"] for item in page.pop("items")] == [f"Bundle {number:02}" for number in range(20)]
        assert page == {"total": 52, "page": 1, "per_page": 20, "pages": 3}

    def test_last_page(self) -> None:
        page = listed(page="3").json
        assert [item["name"] for item in page["items"]] == [f"Bundle {number}" for number in range(40, 52)]

    @pytest.mark.parametrize("page", ["4", "3000000000", str(MAX_BIG_INTEGER), "0004"])
    def test_past_the_end(self, page: str) -> None:
        answer = listed(page=page)
        assert answer.status == 200
        assert answer.json == {"items": [], "total": 52, "page": int(page), "per_page": 20, "pages": 3}

    @pytest.mark.parametrize(
        ("asked", "given", "pages"), [(1, 1, 52), (52, 52, 1), (101, 100, 1), (MAX_BIG_INTEGER, 100, 1)]
    )
    def test_per_page(self, asked: int, given: int, pages: int) -> None:
        page = listed(per_page=str(asked)).json
        assert (page["per_page"], page["pages"], len(page["items"])) == (given, pages, min(given, 52))

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
        for name in ("Alpha", "100% off", "a_b", "Ärger ÉTÉ"):
            add(name)
        for name in ("beta", "a\\b"):
            add(name, is_active=False)

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
            ("", {"Alpha", "100% off", "a_b", "Ärger ÉTÉ", "beta", "a\\b"}),
            ("alp", {"Alpha"}), ("ALPHA", {"Alpha"}), ("et", {"beta"}), ("%", {"100% off"}), ("_", {"a_b"}),
            ("\\", {"a\\b"}), ("/", set()), ("a%", set()), ("0% O", {"100% off"}), ("zzz", set()),
            ("äRGER", {"Ärger ÉTÉ"}), ("été", {"Ärger ÉTÉ"}), ("' OR '1'='1", set()), ("a,b", set()),
        ],
    )  # fmt: skip
    def test_part_of_the_name(self, q: str, found: set[str]) -> None:
        page = listed(q=q).json
        assert {item["name"] for item in page["items"]} == found
        assert page["total"] == len(found)

    def test_comma_is_an_ordinary_character(self) -> None:
        add("one,two")
        assert names(q="e,T") == ["one,two"]

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
            ("price,-token_amount", "cba"),
        ],
    )  # fmt: skip
    def test_sorted(self, sort: str | None, order: str) -> None:
        assert names(**({} if sort is None else {"sort": sort})) == list(order)


class TestWrongParameters:
    @pytest.mark.parametrize("beyond", [str(MAX_BIG_INTEGER + 1), "9" * 5000])
    def test_a_page_beyond_all_numbers(self, beyond: str) -> None:
        assert listed(page=beyond).status == 400

    def test_all_are_named(self) -> None:
        wrong = {"page": "0", "per_page": "x", "include_inactive": "?", "sort": "name,?", "q": "\0"}
        answer = listed(**wrong)
        assert answer.status == 400
        errors = answer.json["errors"]
        assert {error["parameter"] for error in errors} == wrong.keys()
        said = "; ".join(f"{error['parameter']}: {error['detail']}" for error in errors)
        assert answer.json["detail"] == answer.json["error"] == said
