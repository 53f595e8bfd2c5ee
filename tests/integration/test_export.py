"""`GET /token-bundles/export`: bundles as a file."""

import csv
import io
import json
import logging
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text

from shared.token_bundles.exports import COLUMNS
from shared.token_bundles.schemas.read import TokenBundleRead
from tests.client import Answer, request
from tests.conftest import use_settings

OF_THE_CONTRACT = [
    "id", "code", "name", "description", "token_amount", "price", "currency", "is_active", "sort_order",
    "version", "metadata",
]  # fmt: skip
FILL = """
    INSERT INTO token_bundle (name, description, token_amount, price)
    SELECT n, {}, 1, 1 FROM generate_series(1, {}) n
"""


def export(**query: str) -> Answer:
    return request("GET", "/export", query=query)


def rows(answer: Answer) -> list[dict[str, str]]:
    assert answer.status == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"), newline="")))


def create(name: str, **fields: Any) -> dict[str, Any]:
    answer = request("POST", json_body={"name": name, "token_amount": 1000, "price": "9.9"} | fields)
    assert answer.status == 201, answer.text
    return answer.bundle


@pytest.fixture
def many(connection: Connection) -> Connection:
    connection.execute(text("SET LOCAL session_replication_role = replica"))
    return connection


def test_nobody_may() -> None:
    assert request("GET", "/export", scope=None).status == 401


@pytest.mark.usefixtures("connection")
class TestCsv:
    def test_is_a_file_of_today(self) -> None:
        answer = export()
        assert answer.text == "\ufeff" + ",".join(COLUMNS) + "\r\n"
        assert answer.headers["content-type"] == "text/csv; charset=utf-8"
        name = re.fullmatch(r'attachment; filename="(.+)"', answer.headers["content-disposition"])
        assert name
        assert name[1] == f"token-bundles-{datetime.now(UTC):%Y-%m-%d}.csv"
        assert answer.headers["cache-control"] == "no-store"

    def test_no_field_is_left_out(self) -> None:
        assert COLUMNS[: len(OF_THE_CONTRACT)] == OF_THE_CONTRACT
        assert {*COLUMNS, "created_at", "updated_at"} == TokenBundleRead.__annotations__.keys()

    def test_has_each_field(self) -> None:
        made = create("A", code="a-1", description='x "y", z\r\nw', sort_order=-3, metadata={"k": "ü,"})
        (row,) = rows(export())
        assert row == {
            **{name: "" if made[name] is None else str(made[name]) for name in COLUMNS},
            "is_active": "true",
            "metadata": '{"k": "ü,"}',
        }

    def test_what_is_null_is_empty(self) -> None:
        create("A", is_active=False)
        (row,) = rows(export())
        assert (row["code"], row["description"], row["is_active"], row["metadata"]) == ("", "", "false", "{}")

    @pytest.mark.parametrize("first", ["=", "+", "-", "@", "'", "''", "\t=", "\r", "\n"])
    def test_nothing_in_it_is_a_formula(self, first: str) -> None:
        made = create(f"{first}1", description=f"{first}2")
        (row,) = rows(export())
        assert row["description"] == f"'{first}2"
        # What begins with a blank is trimmed in a name.
        assert row["name"] in {f"'{made['name']}", made["name"]}
        assert row["name"][0] not in "=+-@\t\r\n"

    @pytest.mark.parametrize("value", ["a=1", "1-2", " =1", "“=”", "0"])
    def test_what_is_none_is_as_it_is(self, value: str) -> None:
        create("n", description=value)
        assert rows(export())[0]["description"] == value


@pytest.mark.usefixtures("connection")
class TestJson:
    def test_has_the_bundles_as_they_are_read(self) -> None:
        made = create("A", metadata={"k": "v"})
        answer = export(format="json")
        assert (answer.status, answer.json) == (200, {"bundles": [made]})
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["content-disposition"].endswith('.json"')


@pytest.mark.usefixtures("connection")
class TestQuery:
    @pytest.fixture(autouse=True)
    def three(self, connection: Connection) -> None:
        create("Beta", code="b")
        create("Alpha", code="a", sort_order=1)
        create("Gamma", is_active=False)

    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({}, ["Beta", "Gamma", "Alpha"]),
            ({"sort": "-name"}, ["Gamma", "Beta", "Alpha"]),
            ({"is_active": "false"}, ["Gamma"]),
            ({"include_inactive": "false"}, ["Beta", "Alpha"]),
            ({"q": "ALPH"}, ["Alpha"]),
            ({"code": "a,b", "sort": "code"}, ["Alpha", "Beta"]),
        ],
    )
    def test_is_that_of_the_list(self, query: dict[str, str], names: list[str]) -> None:
        assert [row["name"] for row in rows(export(**query))] == names
        in_json = export(format="json", **query).json["bundles"]
        assert [bundle["name"] for bundle in in_json] == names

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ({"format": "xlsx"}, "format"), ({"page": "1"}, "page"), ({"per_page": "1"}, "per_page"),
            ({"formt": "csv"}, "formt"), ({"sort": "colour"}, "sort"), ({"id": "x"}, "id"),
        ],
    )  # fmt: skip
    def test_what_is_wrong_is_named(self, query: dict[str, str], parameter: str) -> None:
        answer = export(**query)
        assert answer.status == 400
        assert [error["parameter"] for error in answer.json["errors"]] == [parameter]
        assert "content-disposition" not in answer.headers


class TestLimits:
    def test_a_thousand_bundles(self, many: Connection) -> None:
        many.execute(text(FILL.format("NULL", 1000)))
        assert len(rows(export())) == 1000
        many.execute(text(FILL.format("NULL", 1)))
        answer = export()
        assert answer.status == 400
        assert "filter" in answer.json["error"]
        assert len(rows(export(q="1000"))) == 1

    @pytest.mark.parametrize("kind", ["csv", "json"])
    @pytest.mark.parametrize(("number", "status"), [(500, 200), (900, 400)])
    def test_what_api_gateway_passes_on(self, many: Connection, kind: str, number: int, status: int) -> None:
        # In CSV and in JSON there are two characters for each of these, and as many again on the way.
        many.execute(text(FILL.format("repeat('\"', 2000)", number)))
        answer = export(format=kind)
        assert answer.status == status
        assert len(json.dumps(answer.text)) <= 5 * 1024 * 1024


@pytest.mark.usefixtures("connection")
def test_other_prices_are_not_exported() -> None:
    with use_settings(DEFAULT_CURRENCY="JPY"):
        assert export().status == 503


@pytest.mark.usefixtures("connection")
def test_it_is_logged_with_who_and_how_many(caplog: pytest.LogCaptureFixture) -> None:
    create("A")
    with caplog.at_level(logging.INFO):
        export()
    (line,) = [record for record in caplog.records if record.message == "answered"]
    told = vars(line)
    assert (told["subject"], told["bundles"], told["status"]) == ("admin-1", 1, 200)
