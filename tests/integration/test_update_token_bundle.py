"""PUT and PATCH /token-bundles/{id}."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.client import WRITE, request

either = pytest.mark.parametrize("method", ["PUT", "PATCH"])
SERVER_FIELDS = {"version", "updated_at"}


@either
class TestUpdate:
    @pytest.mark.parametrize(
        ("change", "result"),
        [
            ({"name": " New "}, {"name": "New"}),
            ({"description": "d"}, {"description": "d"}),
            ({"token_amount": 5}, {"token_amount": 5}),
            ({"price": 1.5}, {"price": "1.50"}),
            ({"is_active": False}, {"is_active": False}),
            ({"sort_order": 7}, {"sort_order": 7}),
            ({"name": "All", "price": "0"}, {"name": "All", "price": "0.00"}),
        ],
    )
    def test_changes_what_is_given_and_nothing_else(
        self, method: str, bundle: dict[str, Any], change: dict[str, Any], result: dict[str, Any]
    ) -> None:
        tag = request("GET", f"/{bundle['id']}").headers["etag"]
        answer = request(method, f"/{bundle['id']}", json_body=change, scope=WRITE)
        assert answer.status == 200
        assert answer.headers["etag"] != tag
        changed = answer.bundle
        assert changed["version"] == 2
        assert changed["updated_at"] > bundle["updated_at"]
        assert {key: changed[key] for key in changed if key not in SERVER_FIELDS} == {
            key: value for key, value in (bundle | result).items() if key not in SERVER_FIELDS
        }
        assert request("GET", f"/{bundle['id']}").bundle == changed

    @pytest.mark.parametrize(
        "same",
        [
            {},
            {"name": " Starter ", "description": "", "sort_order": ""},
            {"name": "Starter", "token_amount": 1000, "price": 9.9, "is_active": True, "sort_order": None},
        ],
    )
    def test_no_change_is_no_new_version(
        self, method: str, bundle: dict[str, Any], same: dict[str, Any]
    ) -> None:
        before = request("GET", f"/{bundle['id']}")
        answer = request(method, f"/{bundle['id']}", json_body=same)
        assert answer.status == 200
        assert answer.bundle == bundle
        assert answer.headers["etag"] == before.headers["etag"]

    def test_null_and_blank(self, method: str, bundle: dict[str, Any]) -> None:
        request(method, f"/{bundle['id']}", json_body={"description": "d", "sort_order": 9})
        blank = {"description": None, "sort_order": ""}
        cleared = request(method, f"/{bundle['id']}", json_body=blank).bundle
        assert (cleared["description"], cleared["sort_order"], cleared["version"]) == (None, 0, 3)

    def test_a_history_that_is_wrong_is_no_conflict(
        self, method: str, bundle: dict[str, Any], connection: Connection
    ) -> None:
        connection.execute(
            text("INSERT INTO token_bundle_change (bundle_id, version, action) VALUES (:id, 2, 'deleted')"),
            {"id": bundle["id"]},
        )
        assert request(method, f"/{bundle['id']}", json_body={"name": "x"}).status == 500

    def test_wrong_fields_change_nothing(self, method: str, bundle: dict[str, Any]) -> None:
        wrong = {"name": None, "token_amount": "12", "price": "9.999", "is_active": 0, "version": 1}
        answer = request(method, f"/{bundle['id']}", json_body={"description": "changed"} | wrong)
        assert answer.status == 400
        assert [error["pointer"] for error in answer.json["errors"]] == [f"/{field}" for field in wrong]
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    @pytest.mark.parametrize(("body", "status"), [(None, 400), ("[]", 400), ("{}" + " " * 65_536, 413)])
    def test_wrong_bodies(self, method: str, bundle: dict[str, Any], body: str | None, status: int) -> None:
        assert request(method, f"/{bundle['id']}", body=body).status == status

    def test_a_body_that_is_not_json(self, method: str, bundle: dict[str, Any]) -> None:
        headers = {"content-type": "text/plain"}
        assert request(method, f"/{bundle['id']}", body="{}", headers=headers).status == 415
