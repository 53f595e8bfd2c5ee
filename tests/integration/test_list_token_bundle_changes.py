"""GET /token-bundles/{id}/history."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.client import READ, REQUEST_ID, WRITE, event, invoke, request


def history(bundle: dict[str, Any], **query: str) -> dict[str, Any]:
    answer = request("GET", f"/{bundle['id']}/history", query=query)
    assert answer.status == 200, answer.text
    page: dict[str, Any] = answer.json
    return page


class TestHistory:
    def test_anonymous(self, bundle: dict[str, Any]) -> None:
        assert request("GET", f"/{bundle['id']}/history", scope=None).status == 401

    def test_writer(self, bundle: dict[str, Any]) -> None:
        assert request("GET", f"/{bundle['id']}/history", scope=WRITE).status == 403

    def test_of_a_new_bundle(self, bundle: dict[str, Any]) -> None:
        page = history(bundle)
        entry = page["items"][0]
        changed_at = datetime.fromisoformat(entry.pop("changed_at"))
        assert abs(changed_at - datetime.fromisoformat(bundle["created_at"])).total_seconds() < 5
        assert page == {
            "items": [
                {
                    "version": 1,
                    "action": "created",
                    "changes": {
                        "name": {"from": None, "to": "Starter"},
                        "token_amount": {"from": None, "to": 1000},
                        "price": {"from": None, "to": "9.90"},
                        "is_active": {"from": None, "to": True},
                        "sort_order": {"from": None, "to": 0},
                    },
                    "changed_by": "admin-1",
                    "client_id": None,
                    "request_id": REQUEST_ID,
                }
            ],
            "total": 1,
            "page": 1,
            "per_page": 20,
            "pages": 1,
        }

    def test_newest_first_and_still_there_after_the_delete(self, bundle: dict[str, Any]) -> None:
        path = f"/{bundle['id']}"
        request("PATCH", path, json_body={"price": 12, "description": "d"}, subject="admin-2")
        request("POST", f"{path}/deactivate")
        request("POST", f"{path}/activate")
        request("DELETE", path, subject="admin-3")
        items = history(bundle)["items"]
        assert [(entry["version"], entry["action"], entry["changed_by"]) for entry in items] == [
            (5, "deleted", "admin-3"),
            (4, "activated", "admin-1"),
            (3, "deactivated", "admin-1"),
            (2, "updated", "admin-2"),
            (1, "created", "admin-1"),
        ]
        assert items[3]["changes"] == {
            "price": {"from": "9.90", "to": "12.00"},
            "description": {"from": None, "to": "d"},
        }
        assert items[2]["changes"] == {"is_active": {"from": True, "to": False}}
        assert items[0]["changes"]["price"] == {"from": "12.00", "to": None}
        times = [entry["changed_at"] for entry in items]
        assert times == sorted(times, reverse=True)

    def test_what_changes_nothing_is_no_entry(self, bundle: dict[str, Any]) -> None:
        path = f"/{bundle['id']}"
        request("PATCH", path, json_body={})
        request("PUT", path, json_body={"price": "9.9"})
        request("POST", f"{path}/activate")
        request("PATCH", path, json_body={"name": "x"}, headers={"if-match": '"9"'})
        request("DELETE", path, headers={"if-match": '"9"'})
        assert history(bundle)["total"] == 1

    def test_client_of_a_caller(self, bundle: dict[str, Any]) -> None:
        path = f"/api/v1/admin/token-bundles/{bundle['id']}/activate"
        request("POST", f"/{bundle['id']}/deactivate")
        claims = {"sub": "admin-9", "client_id": "console", "scope": WRITE}
        invoke(event("POST", path, claims=claims))
        entry = history(bundle)["items"][0]
        assert (entry["changed_by"], entry["client_id"]) == ("admin-9", "console")

    def test_pages(self, bundle: dict[str, Any]) -> None:
        for number in range(4):
            request("PATCH", f"/{bundle['id']}", json_body={"sort_order": number + 1})
        page = history(bundle, page="2", per_page="2")
        assert [entry["version"] for entry in page["items"]] == [3, 2]
        assert page["items"][1]["changes"] == {"sort_order": {"from": 0, "to": 1}}
        assert (page["total"], page["pages"]) == (5, 3)
        assert history(bundle, page="9")["items"] == []

    @pytest.mark.parametrize("query", [{"page": "0"}, {"per_page": "x"}, {"page": "9" * 30}])
    def test_wrong_parameters(self, bundle: dict[str, Any], query: dict[str, str]) -> None:
        answer = request("GET", f"/{bundle['id']}/history", query=query)
        assert answer.status == 400
        assert answer.json["errors"][0]["parameter"] in query

    @pytest.mark.usefixtures("connection")
    @pytest.mark.parametrize("unknown", ["00000000-0000-0000-0000-000000000000", "no-uuid"])
    def test_never_was_a_bundle(self, unknown: str) -> None:
        assert request("GET", f"/{unknown}/history", scope=READ).status == 404

    def test_the_api_needs_only_to_add_to_it(self, connection: Connection, bundle: dict[str, Any]) -> None:
        connection.execute(text("CREATE ROLE api"))
        connection.execute(text("GRANT SELECT, INSERT, UPDATE, DELETE ON token_bundle TO api"))
        connection.execute(text("GRANT SELECT, INSERT, UPDATE ON token_bundle_idempotency_key TO api"))
        connection.execute(text("GRANT SELECT, INSERT ON token_bundle_change TO api"))
        connection.execute(text("SET LOCAL ROLE api"))
        path = f"/{bundle['id']}"
        key = {"Idempotency-Key": "k"}
        body = {"name": "n", "token_amount": 1, "price": 1}
        statuses = [
            request("PATCH", path, json_body={"price": 3}).status,
            request("POST", f"{path}/deactivate").status,
            request("DELETE", path).status,
            request("POST", json_body=body, headers=key).status,
            request("POST", json_body=body, headers=key).status,
            request("GET", f"{path}/history").status,
        ]
        assert statuses == [200, 200, 200, 201, 201, 200]
