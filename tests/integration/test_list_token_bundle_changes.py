"""GET /token-bundles/{id}/history."""

from datetime import datetime
from typing import Any

import pytest

from tests.client import READ, REQUEST_ID, WRITE, event, invoke, request


def history(bundle: dict[str, Any], **query: str) -> dict[str, Any]:
    answer = request("GET", f"/{bundle['id']}/history", query=query, scope=READ)
    assert answer.status == 200, answer.text
    page: dict[str, Any] = answer.json
    return page


class TestHistory:
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
        assert {entry["request_id"] for entry in items} == {REQUEST_ID}
        created = [datetime.fromisoformat(time) for time in (items[-1]["changed_at"], bundle["created_at"])]
        assert abs(created[0] - created[1]).total_seconds() < 5

    @pytest.mark.parametrize("claim", ["client_id", "azp"])
    def test_client_of_a_caller(self, bundle: dict[str, Any], claim: str) -> None:
        path = f"/api/v1/admin/token-bundles/{bundle['id']}/activate"
        request("POST", f"/{bundle['id']}/deactivate")
        claims = {"sub": "admin-9", claim: "console", "scope": WRITE}
        invoke(event("POST", path, claims=claims))
        entry = history(bundle)["items"][0]
        assert (entry["changed_by"], entry["client_id"]) == ("admin-9", "console")

    def test_pages(self, bundle: dict[str, Any]) -> None:
        for number in range(4):
            request("PATCH", f"/{bundle['id']}", json_body={"sort_order": number + 1})
        page = history(bundle, page="2", per_page="2")
        assert [entry["version"] for entry in page["items"]] == [3, 2]
        # What there was before comes from the next page.
        assert page["items"][1]["changes"] == {"sort_order": {"from": 0, "to": 1}}
        assert (page["total"], page["pages"]) == (5, 3)
