"""POST /token-bundles."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.client import BUNDLES, WRITE, Answer, event, invoke, request

pytestmark = pytest.mark.usefixtures("connection")

VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}


def create(**fields: Any) -> Any:
    return request("POST", json_body=VALID | fields)


def create_from_base64(body: str) -> Answer:
    claims = {"sub": "a", "scope": WRITE}
    headers = {"Content-Type": "application/json"}
    sent = event("POST", BUNDLES, body=body, base64=True, headers=headers, claims=claims)
    return invoke(sent)


class TestCreate:
    def test_anonymous(self) -> None:
        answer = request("POST", body="{malformed", scope=None)
        assert answer.status == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert answer.json["title"] == "Unauthorized"
        assert answer.json["error"] == answer.json["detail"] == "A valid token is required."

    @pytest.mark.parametrize("path", ["", "/"])
    def test_only_what_is_required(self, path: str) -> None:
        answer = request("POST", path, json_body=VALID, scope=WRITE)
        assert answer.status == 201
        assert answer.headers["content-type"] == "application/json"
        bundle = answer.bundle
        assert answer.location == f"{BUNDLES}/{bundle['id']}"
        assert answer.headers["etag"] == '"1"'
        assert str(UUID(bundle["id"])) == bundle["id"]
        created = datetime.strptime(bundle["created_at"], "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)
        assert abs(datetime.now(UTC) - created) < timedelta(minutes=1)
        assert bundle == VALID | {
            "id": bundle["id"],
            "code": None,
            "description": None,
            "currency": "EUR",
            "is_active": True,
            "sort_order": 0,
            "metadata": {},
            "version": 1,
            "created_at": bundle["created_at"],
            "updated_at": bundle["created_at"],
        }
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    def test_base64_body(self) -> None:
        encoded = base64.b64encode(json.dumps(VALID).encode()).decode()
        assert create_from_base64(encoded).status == 201

    @pytest.mark.parametrize("character", ["!", "\n", " ", "-"])
    def test_a_character_that_is_not_base64_is_not_passed_over(self, character: str) -> None:
        encoded = base64.b64encode(json.dumps(VALID).encode()).decode()
        assert create_from_base64(encoded[:8] + character + encoded[8:]).status == 400

    @pytest.mark.parametrize(
        ("field", "given", "stored"),
        [
            ("name", "  Starter \t\n", "Starter"),
            ("name", "\u00a0 x\u2003", "x"),
            ("name", f"  {'n' * 255}  ", "n" * 255),
            ("name", "😀" * 255, "😀" * 255),
            ("description", "", None),
            ("description", " d ", " d "),
            ("description", "ü" * 2000, "ü" * 2000),
            ("token_amount", 2147483647, 2147483647),
            ("is_active", False, False),
            ("sort_order", None, 0),
            ("sort_order", "", 0),
            ("sort_order", -2147483648, -2147483648),
        ],
    )
    def test_stored_as(self, field: str, given: Any, stored: Any) -> None:
        answer = create(**{field: given})
        assert answer.status == 201, answer.text
        assert request("GET", f"/{answer.bundle['id']}").bundle[field] == stored

    @pytest.mark.parametrize(
        ("written", "price"),
        [
            ("9.9", "9.90"), ("9", "9.00"), ("0", "0.00"), ("-0.0", "0.00"), ("1e2", "100.00"),
            ("1.15", "1.15"), ("99999999.99", "99999999.99"), ('"9.9"', "9.90"), ('".5"', "0.50"),
            ('"007"', "7.00"),
        ],
    )  # fmt: skip
    def test_price_is_the_decimal_that_was_written(self, written: str, price: str) -> None:
        answer = request("POST", body=f'{{"name": "n", "token_amount": 1, "price": {written}}}')
        assert answer.status == 201, answer.text
        assert answer.bundle["price"] == price


# What is said of a field, and the values of which it is said.
WRONG: dict[tuple[str, str, str], list[Any]] = {
    ("name", "string_type", "must be text"): [None, 5],
    ("name", "string_too_short", "must not be blank"): ["", " \t\u00a0"],
    ("name", "string_too_long", "must have at most 255 characters"): ["n" * 256],
    ("name", "string_unicode", "must not contain characters that cannot be stored"): ["a\0b", "\ud800"],
    ("description", "string_type", "must be text"): [5],
    ("description", "string_too_long", "must have at most 2,000 characters"): ["d" * 2001],
    ("description", "string_unicode", "must not contain characters that cannot be stored"): ["\0"],
    ("token_amount", "int_type", "must be a whole number"): [None, "12", 1.5, 1.0, True, [1]],
    ("token_amount", "greater_than_equal", "must be 1 or more"): [0],
    ("token_amount", "less_than_equal", "must be at most 2,147,483,647"): [2147483648],
    ("price", "decimal_type", "must be a number"): [None, True, {}],
    ("price", "decimal_parsing", "must be a number with a point, such as 9.90, without separators"): [
        "", "abc", "NaN", "Infinity", "1_000", "1 000", " 1", "1\n", "1,50", "٣", "\uff11", "0x10",
        "1e99999999999999999999",
    ],
    ("price", "greater_than_equal", "must be 0 or more"): [-1, "-0.01"],
    ("price", "decimal_max_places", "must have at most 2 decimals"): ["9.999", "9.900", 9.901, "1e-3"],
    ("price", "less_than_equal", "must be at most 99,999,999.99"): [100000000, "1e400"],
    ("is_active", "bool_type", "must be true or false"): [None, 1, "true", "off"],
    ("sort_order", "int_type", "must be a whole number"): ["5", 1.5, False],
    ("sort_order", "less_than_equal", "must be at most 2,147,483,647"): [2147483648],
    ("sort_order", "greater_than_equal", "must be -2,147,483,648 or more"): [-2147483649],
    **{
        (field, "extra_forbidden", "is not a field that can be set"): [None, "EUR"]
        for field in ("id", "currency", "version", "created_at", "updated_at", "colour", "a/b~c")
    },
}  # fmt: skip


class TestWrongFields:
    @pytest.mark.parametrize(
        ("said", "value"), [(said, value) for said, values in WRONG.items() for value in values]
    )
    def test_one(self, said: tuple[str, str, str], value: Any) -> None:
        field, code, sentence = said
        answer = create(**{field: value})
        assert answer.status == 400
        assert answer.headers["content-type"] == "application/problem+json"
        pointer = "/" + field.replace("~", "~0").replace("/", "~1")
        assert answer.json["errors"] == [{"pointer": pointer, "detail": sentence, "code": code}]
        label = field if code == "extra_forbidden" else field.replace("_", " ")
        assert answer.json["detail"] == answer.json["error"] == f"{label}: {sentence}"

    def test_all_are_named_also_one_that_cannot_be_stored(self) -> None:
        answer = request("POST", body='{"price": "9.999", "is_active": "yes", "\\ud800": 1}')
        assert answer.status == 400
        pointers = {error["pointer"] for error in answer.json["errors"]}
        assert pointers == {"/name", "/token_amount", "/price", "/is_active", "/?"}

    @pytest.mark.parametrize(
        "written", ["1" + "0" * 5000, "1e99999999999999999999", "-1e-99999999999999999999"]
    )
    def test_numbers_that_cannot_be_counted(self, written: str) -> None:
        answer = request("POST", body=f'{{"name": "n", "token_amount": 1, "price": {written}}}')
        assert answer.status == 400
        assert [error["pointer"] for error in answer.json["errors"]] == ["/price"]


class TestWrongBodies:
    @pytest.mark.parametrize(
        ("body", "sentence"),
        [
            (None, "is required"), ("", "is required"), (" ", "must be JSON"),
            ('{"price": NaN}', "must be JSON"), ('{"name": "\ud800"}', "must be JSON"),
            ("[]", "must be a JSON object"), ('"{}"', "must be a JSON object"),
        ],
    )  # fmt: skip
    def test_are_explained(self, body: str | None, sentence: str) -> None:
        answer = request("POST", body=body)
        assert answer.status == 400
        assert answer.json["detail"] == f"body: {sentence}"

    @pytest.mark.parametrize(("size", "status"), [(64 * 1024, 201), (64 * 1024 + 1, 413)])
    def test_size(self, size: int, status: int) -> None:
        body = json.dumps(VALID)
        assert request("POST", body=body + " " * (size - len(body))).status == status

    def test_size_is_counted_in_bytes(self) -> None:
        body = json.dumps(VALID | {"description": "ü" * 40_000}, ensure_ascii=False)
        assert request("POST", body=body).status == 413

    @pytest.mark.parametrize(
        ("content_type", "status"),
        [
            ("APPLICATION/JSON", 201), ("application/json; foo=bar", 201),
            ('application/json;charset="UTF-8"', 201), ("application/json; charset=iso-8859-1", 415),
            ("application/json; charset=nonsense", 415), ("application/jsonx", 415), ("text/json", 415),
        ],
    )  # fmt: skip
    def test_media_type(self, content_type: str, status: int) -> None:
        answer = request("POST", json_body=VALID, headers={"content-type": content_type})
        assert answer.status == status
