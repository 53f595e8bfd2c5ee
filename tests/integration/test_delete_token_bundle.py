"""DELETE /token-bundles/{id}."""

from typing import Any

import pytest
from sqlalchemy import Connection, text

from tests.client import WRITE, request


class TestDelete:
    def test_for_good(self, bundle: dict[str, Any]) -> None:
        answer = request("DELETE", f"/{bundle['id']}", scope=WRITE)
        assert answer.status == 200
        assert list(answer.json) == ["message"]
        assert request("GET", f"/{bundle['id']}").status == 404
        assert request("DELETE", f"/{bundle['id']}").status == 404

    @pytest.mark.parametrize("action", ["NO ACTION", "RESTRICT"])
    def test_what_another_table_refers_to_stays(
        self, connection: Connection, bundle: dict[str, Any], action: str
    ) -> None:
        reference = f"bundle_id uuid REFERENCES token_bundle ON DELETE {action}"
        connection.execute(text(f"CREATE TABLE purchase ({reference})"))
        connection.execute(text("INSERT INTO purchase VALUES (:id)"), {"id": bundle["id"]})
        answer = request("DELETE", f"/{bundle['id']}")
        assert answer.status == 409
        assert answer.json["title"] == "Conflict"
        assert "deactivate" in answer.json["detail"]
        assert answer.json["errors"] == [{"detail": answer.json["detail"], "code": "still_referenced"}]
        assert "purchase" not in answer.text
        assert request("GET", f"/{bundle['id']}").bundle == bundle
