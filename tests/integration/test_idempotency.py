"""Idempotency-Key."""

import random
from typing import Any, ClassVar

import pytest
from sqlalchemy import Connection, text

from tests.client import Answer, request

pytestmark = pytest.mark.usefixtures("connection")

VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}


def create(
    key: str = "key-1", subject: str = "admin-1", claims: dict[str, str] | None = None, **fields: Any
) -> Answer:
    headers = {"Idempotency-Key": key}
    return request("POST", json_body=VALID | fields, headers=headers, subject=subject, claims=claims)


def total() -> int:
    count: int = request("GET").json["total"]
    return count


def assert_replayed(answer: Answer, first: Answer) -> None:
    assert "idempotency-replayed" not in first.headers
    assert answer.headers["idempotency-replayed"] == "true"
    assert answer.status == first.status == 201
    assert answer.text == first.text
    assert answer.headers["location"] == first.headers["location"]
    assert answer.headers["etag"] == first.headers["etag"]


class TestIdempotencyKey:
    @pytest.mark.parametrize(
        "same", [{}, {"price": 9.9}, {"name": " Starter "}, {"description": ""}, {"sort_order": ""}]
    )
    def test_a_retry_answers_the_same_however_it_is_written(self, same: dict[str, Any]) -> None:
        first = create()
        assert_replayed(create(**same), first)
        assert_replayed(create(**same), first)
        assert total() == 1

    @pytest.mark.parametrize("different", [{"price": "9.91"}, {"is_active": False}, {"description": "d"}])
    def test_another_body_is_refused(self, different: dict[str, Any]) -> None:
        first = create()
        answer = create(**different)
        assert answer.status == 422
        assert answer.headers["content-type"] == "application/problem+json"
        assert total() == 1
        assert_replayed(create(), first)

    def test_a_field_that_was_removed_meanwhile(self, connection: Connection) -> None:
        first = create()
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text("""UPDATE token_bundle_change SET bundle = bundle || '{"old": 1}'"""))
        assert_replayed(create(), first)

    def test_the_first_answer_stays_whatever_happens_to_the_bundle(self) -> None:
        first = create()
        path = f"/{first.bundle['id']}"
        request("PATCH", path, json_body={"price": 1, "name": "Changed"})
        assert_replayed(create(), first)
        request("DELETE", path)
        assert_replayed(create(), first)
        assert total() == 0

    def test_keys_of_other_callers_are_other_keys(self) -> None:
        first = create()
        second = create(subject="admin-2", name="Other")
        assert second.status == 201
        assert second.bundle["id"] != first.bundle["id"]
        assert_replayed(create(), first)
        assert_replayed(create(subject="admin-2", name="Other"), second)

    CALLERS: ClassVar[list[dict[str, str]]] = [
        {"sub": "x"},
        {"sub": "sub:x"},
        {"sub": "sub:sub:x"},
        {"sub": "client_id:x"},
        {"sub": "sub:client_id:x"},
        {"client_id": "x"},
        {"client_id": "client_id:x"},
        {"client_id": "sub:x"},
        {"azp": "y"},
        {"sub": "X"},
        {"sub": "x "},
    ]

    def test_no_two_callers_share_a_key(self) -> None:
        first = [create(claims=claims, name=str(claims)) for claims in self.CALLERS]
        assert len({answer.bundle["id"] for answer in first}) == len(self.CALLERS)
        for claims, answer in zip(self.CALLERS, first, strict=True):
            assert_replayed(create(claims=claims, name=str(claims)), answer)

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ({"sub": "x"}, {"sub": "x", "client_id": "a"}),
            ({"client_id": "x"}, {"sub": "", "client_id": "x"}),
            ({"client_id": "x"}, {"azp": "x"}),
        ],
    )
    def test_a_caller_is_the_subject_else_the_client(
        self, one: dict[str, str], other: dict[str, str]
    ) -> None:
        first = create(claims=one)
        assert_replayed(create(claims=other), first)

    def test_keys_that_are_in_use_survive_a_deploy(self, connection: Connection) -> None:
        create(subject="auth0|5f7c8ec7c33c6c004bbafe82")
        callers = connection.execute(text("SELECT caller FROM token_bundle_idempotency_key")).scalars()
        assert list(callers) == ["auth0|5f7c8ec7c33c6c004bbafe82"]

    @pytest.mark.parametrize("claims", [{}, {"sub": ""}, {"sub": "", "client_id": ""}, {"iss": "x"}])
    def test_a_token_that_names_nobody_cannot_use_one(self, claims: dict[str, str]) -> None:
        answer = create(claims=claims, price="x")
        assert answer.status == 400
        sentence = "cannot be used with a token that names nobody"
        entry = {"header": "Idempotency-Key", "detail": sentence, "code": "caller_unknown"}
        assert answer.json["errors"][-1] == entry
        assert [error.get("pointer") for error in answer.json["errors"]] == ["/price", None]
        assert create(claims=claims).json["errors"] == [entry]
        assert total() == 0
        assert request("POST", json_body=VALID, claims=claims).status == 201

    @pytest.mark.parametrize("claim", ["sub", "client_id"])
    @pytest.mark.parametrize("start", ["", "sub:", "client_id:"])
    def test_the_longest_caller_and_key(self, claim: str, start: str) -> None:
        # Random ones: what repeats is stored compressed.
        letters = [chr(random.Random(number).randint(0x10000, 0x10FFFF)) for number in range(510)]  # noqa: S311
        claims = {claim: (start + "".join(letters))[:510]}
        key = "".join(chr(random.Random(number).randint(0x21, 0x7E)) for number in range(255))  # noqa: S311
        first = create(key, claims=claims)
        assert_replayed(create(key, claims=claims), first)

    def test_a_key_counts_for_a_day(self, connection: Connection) -> None:
        first = create()
        age = "UPDATE token_bundle_idempotency_key SET created_at = now() - interval"
        connection.execute(text(f"{age} '23:59:59'"))
        assert_replayed(create(), first)
        connection.execute(text(f"{age} '24:00:01'"))
        second = create(name="Other")
        assert second.status == 201
        assert second.bundle["id"] != first.bundle["id"]
        assert_replayed(create(name="Other"), second)

    def test_a_wrong_body_uses_up_nothing(self) -> None:
        assert create(price="x").status == 400
        assert create().status == 201

    @pytest.mark.parametrize("key", ["!" * 255, "~", '"a,b"'])
    def test_visible_ascii(self, key: str) -> None:
        first = create(key)
        assert_replayed(create(key), first)

    @pytest.mark.parametrize("key", ["", "a b", "k" * 256, "\u00fc", "\x7f", "a\n"])
    def test_anything_else_is_refused(self, key: str) -> None:
        answer = create(key)
        assert answer.status == 400
        assert answer.json["errors"][0]["header"] == "Idempotency-Key"
        assert total() == 0
