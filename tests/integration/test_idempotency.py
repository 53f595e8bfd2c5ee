"""Idempotency-Key."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.client import Answer, request

pytestmark = pytest.mark.usefixtures("connection")

VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}


def create(key: str = "key-1", subject: str = "admin-1", **fields: Any) -> Answer:
    headers = {"Idempotency-Key": key}
    return request("POST", json_body=VALID | fields, headers=headers, subject=subject)


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
