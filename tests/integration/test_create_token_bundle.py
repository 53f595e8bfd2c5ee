"""POST /token-bundles."""

import base64
import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.client import BUNDLES, READ, WRITE, event, invoke, request

pytestmark = pytest.mark.usefixtures("connection")

VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}


def create(**fields: Any) -> Any:
    return request("POST", json_body=VALID | fields)


class TestCreate:
    @pytest.mark.usefixtures("connection")
    def test_a_name_that_cannot_be_stored_hides_no_other_error(self) -> None:
        answer = request("POST", body='{"name": 5, "token_amount": 0, "price": 1, "\\ud800": 1}')
        assert answer.status == 400
        assert [error["pointer"] for error in answer.json["errors"]] == ["/name", "/token_amount", "/?"]

    def test_anonymous(self) -> None:
        assert request("POST", json_body=VALID, scope=None).status == 401

    def test_reader(self) -> None:
        assert request("POST", json_body=VALID, scope=READ).status == 403

    @pytest.mark.parametrize("path", ["", "/"])
    def test_only_what_is_required(self, path: str) -> None:
        answer = request("POST", path, json_body=VALID, scope=WRITE)
        assert answer.status == 201
        assert answer.headers["content-type"] == "application/json"
        bundle = answer.bundle
        assert answer.location == f"{BUNDLES}/{bundle['id']}"
        assert re.fullmatch(r'"[\x21\x23-\x7e]+"', answer.headers["etag"])
        assert str(UUID(bundle["id"])) == bundle["id"]
        created = datetime.strptime(bundle["created_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
        assert bundle == {
            "id": bundle["id"],
            "name": "Starter",
            "description": None,
            "token_amount": 1000,
            "price": "9.90",
            "currency": "EUR",
            "is_active": True,
            "sort_order": 0,
            "version": 1,
            "created_at": bundle["created_at"],
            "updated_at": bundle["created_at"],
        }
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    def test_everything(self) -> None:
        fields = {"description": "All of it", "is_active": False, "sort_order": -5, "price": 0}
        bundle = create(**fields).bundle
        assert bundle | fields == bundle | {"price": 0}
        assert bundle["price"] == "0.00"

    def test_base64_body(self) -> None:
        body = base64.b64encode(json.dumps(VALID).encode()).decode()
        claims = {"sub": "a", "scope": WRITE}
        headers = {"Content-Type": "application/json"}
        answer = invoke(event("POST", BUNDLES, body=body, base64=True, headers=headers, claims=claims))
        assert answer.status == 201

    @pytest.mark.parametrize(
        ("given", "stored"),
        [
            ({"name": "  Starter \t\n"}, {"name": "Starter"}),
            ({"name": "\u00a0 x\u2003"}, {"name": "x"}),
            ({"name": f"  {'n' * 255}  "}, {"name": "n" * 255}),
            ({"name": "😀" * 255}, {"name": "😀" * 255}),
            ({"name": "v"}, {"name": "v"}),
            ({"description": ""}, {"description": None}),
            ({"description": None}, {"description": None}),
            ({"description": " d "}, {"description": " d "}),
            ({"description": "ü" * 2000}, {"description": "ü" * 2000}),
            ({"token_amount": 1}, {"token_amount": 1}),
            ({"token_amount": 2147483647}, {"token_amount": 2147483647}),
            ({"sort_order": None}, {"sort_order": 0}),
            ({"sort_order": ""}, {"sort_order": 0}),
            ({"sort_order": -2147483648}, {"sort_order": -2147483648}),
            ({"sort_order": 2147483647}, {"sort_order": 2147483647}),
        ],
    )
    def test_stored_as(self, given: dict[str, Any], stored: dict[str, Any]) -> None:
        answer = create(**given)
        assert answer.status == 201, answer.text
        bundle = request("GET", f"/{answer.bundle['id']}").bundle
        assert bundle | stored == bundle

    @pytest.mark.parametrize(
        ("written", "price"),
        [
            ("9.9", "9.90"),
            ("9", "9.00"),
            ("0", "0.00"),
            ("-0.0", "0.00"),
            ("1e2", "100.00"),
            ("9999999.99", "9999999.99"),
            ("99999999.99", "99999999.99"),
            ("0.01", "0.01"),
            ("1.15", "1.15"),
            ('"9.9"', "9.90"),
            ('"0"', "0.00"),
            ('"99999999"', "99999999.00"),
            ('".5"', "0.50"),
            ('"007"', "7.00"),
        ],
    )
    def test_price_is_the_decimal_that_was_written(self, written: str, price: str) -> None:
        answer = request("POST", body=f'{{"name": "n", "token_amount": 1, "price": {written}}}')
        assert answer.status == 201, answer.text
        assert answer.bundle["price"] == price


class TestWrongFields:
    @pytest.mark.parametrize(
        ("field", "value", "code"),
        [
            ("name", None, "string_type"),
            ("name", 5, "string_type"),
            ("name", "", "string_too_short"),
            ("name", " \t\u00a0", "string_too_short"),
            ("name", "n" * 256, "string_too_long"),
            ("name", "a\0b", "string_unicode"),
            ("name", "\ud800", "string_unicode"),
            ("description", 5, "string_type"),
            ("description", "d" * 2001, "string_too_long"),
            ("description", "\0", "string_unicode"),
            ("token_amount", None, "int_type"),
            ("token_amount", "12", "int_type"),
            ("token_amount", 1.5, "int_type"),
            ("token_amount", 1.0, "int_type"),
            ("token_amount", True, "int_type"),
            ("token_amount", [1], "int_type"),
            ("token_amount", 0, "greater_than_equal"),
            ("token_amount", 2147483648, "less_than_equal"),
            ("price", None, "decimal_type"),
            ("price", True, "decimal_type"),
            ("price", {}, "decimal_type"),
            ("price", "", "decimal_parsing"),
            ("price", "abc", "decimal_parsing"),
            ("price", "NaN", "decimal_parsing"),
            ("price", "Infinity", "decimal_parsing"),
            ("price", "1_000", "decimal_parsing"),
            ("price", "1 000", "decimal_parsing"),
            ("price", " 1", "decimal_parsing"),
            ("price", "1\n", "decimal_parsing"),
            ("price", "1,50", "decimal_parsing"),
            ("price", "٣", "decimal_parsing"),
            ("price", "\uff11", "decimal_parsing"),
            ("price", "0x10", "decimal_parsing"),
            ("price", "1e99999999999999999999", "decimal_parsing"),
            ("price", -1, "greater_than_equal"),
            ("price", "-0.01", "greater_than_equal"),
            ("price", "9.999", "decimal_max_places"),
            ("price", "9.900", "decimal_max_places"),
            ("price", 9.901, "decimal_max_places"),
            ("price", "1e-3", "decimal_max_places"),
            ("price", 100000000, "less_than_equal"),
            ("price", "1e400", "less_than_equal"),
            ("is_active", None, "bool_type"),
            ("is_active", 1, "bool_type"),
            ("is_active", "true", "bool_type"),
            ("is_active", "off", "bool_type"),
            ("sort_order", "5", "int_type"),
            ("sort_order", 1.5, "int_type"),
            ("sort_order", False, "int_type"),
            ("sort_order", 2147483648, "less_than_equal"),
            ("sort_order", -2147483649, "greater_than_equal"),
            ("id", "493de819-4461-45a2-bf0c-aac6a105f477", "extra_forbidden"),
            ("currency", "EUR", "extra_forbidden"),
            ("version", 1, "extra_forbidden"),
            ("created_at", "2026-01-01T00:00:00Z", "extra_forbidden"),
            ("updated_at", None, "extra_forbidden"),
            ("colour", "red", "extra_forbidden"),
            ("a/b~c", "", "extra_forbidden"),
        ],
    )
    def test_one_wrong_field(self, field: str, value: Any, code: str) -> None:
        answer = create(**{field: value})
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        problem = answer.json
        pointer = "/" + field.replace("~", "~0").replace("/", "~1")
        assert [(e["pointer"], e["code"]) for e in problem["errors"]] == [(pointer, code)]
        label = field if code == "extra_forbidden" else field.replace("_", " ")
        assert problem["detail"] == problem["error"] == f"{label}: {problem['errors'][0]['detail']}"

    def test_all_wrong_fields_are_named(self) -> None:
        answer = request("POST", json_body={"price": "9.999", "is_active": "yes", "size": 1})
        assert answer.status == 400
        pointers = {error["pointer"] for error in answer.json["errors"]}
        assert pointers == {"/name", "/token_amount", "/price", "/is_active", "/size"}

    @pytest.mark.parametrize(
        ("written", "pointer"),
        [
            ("1" + "0" * 5000, "/price"),
            ("1e99999999999999999999", "/price"),
            ("-1e-99999999999999999999", "/price"),
        ],
    )
    def test_numbers_that_cannot_be_counted(self, written: str, pointer: str) -> None:
        answer = request("POST", body=f'{{"name": "n", "token_amount": 1, "price": {written}}}')
        assert answer.status == 400
        assert [error["pointer"] for error in answer.json["errors"]] == [pointer]


class TestWrongBodies:
    @pytest.mark.parametrize(
        "body",
        [
            None, "", " ", "{", "{'name': 1}", "nul", "NaN", '{"price": NaN}', '{"price": -Infinity}',
            "[" * 60_000, '{"a":' * 10_000, "\ufeff{}", '{"name": "\ud800"',
        ],
    )  # fmt: skip
    def test_not_json(self, body: str | None) -> None:
        answer = request("POST", body=body)
        assert answer.status == 400
        assert answer.json["errors"][0]["code"] in {"json_invalid", "missing"}

    @pytest.mark.parametrize("body", ["null", "[]", '"text"', "5", "true", json.dumps([VALID])])
    def test_not_an_object(self, body: str) -> None:
        answer = request("POST", body=body)
        assert answer.status == 400
        assert answer.json["detail"] == "body: must be a JSON object"

    @pytest.mark.parametrize("body", ["not base64!", base64.b64encode(b"\xff{}").decode()])
    def test_not_text(self, body: str) -> None:
        headers = {"content-type": "application/json"}
        claims = {"sub": "a", "scope": WRITE}
        answer = invoke(event("POST", BUNDLES, body=body, base64=True, headers=headers, claims=claims))
        assert answer.status == 400

    @pytest.mark.parametrize(("size", "status"), [(64 * 1024, 201), (64 * 1024 + 1, 413), (1024 * 1024, 413)])
    def test_size(self, size: int, status: int) -> None:
        body = json.dumps(VALID)
        assert request("POST", body=body + " " * (size - len(body))).status == status

    def test_size_is_counted_in_bytes(self) -> None:
        body = json.dumps(VALID | {"description": "ü" * 40_000}, ensure_ascii=False)
        assert request("POST", body=body).status == 413

    @pytest.mark.parametrize(
        "content_type",
        [
            "application/json", "APPLICATION/JSON", "application/json; charset=utf-8",
            'application/json;charset="UTF-8"', "application/json; foo=bar",
        ],
    )  # fmt: skip
    def test_json_is_accepted(self, content_type: str) -> None:
        answer = request("POST", json_body=VALID, headers={"content-type": content_type})
        assert answer.status == 201

    @pytest.mark.parametrize(
        "content_type",
        [
            "", "text/plain", "text/json", "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonx", "application/merge-patch+json", "application/json; charset=iso-8859-1",
            "application/json; charset=utf-16", "application/json; charset=nonsense", "application",
        ],
    )  # fmt: skip
    def test_anything_else_is_not(self, content_type: str) -> None:
        answer = request("POST", json_body=VALID, headers={"content-type": content_type})
        assert answer.status == 415
        assert answer.json["title"] == "Unsupported Media Type"
