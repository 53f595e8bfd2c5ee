"""POST /token-bundles/{id}/activate and /deactivate."""

from typing import Any

import pytest

from tests.client import WRITE, request

either = pytest.mark.parametrize(("action", "active"), [("activate", True), ("deactivate", False)])


@either
class TestActivation:
    def test_changes_once(self, action: str, active: bool, bundle: dict[str, Any]) -> None:
        before = request("PATCH", f"/{bundle['id']}", json_body={"is_active": not active})
        first = request("POST", f"/{bundle['id']}/{action}", scope=WRITE)
        second = request("POST", f"/{bundle['id']}/{action}", scope=WRITE)
        assert first.status == second.status == 200
        assert first.bundle["is_active"] is active
        assert first.bundle["version"] == before.bundle["version"] + 1
        assert second.bundle == first.bundle
        assert second.headers["etag"] == first.headers["etag"] != before.headers["etag"]

    @pytest.mark.parametrize("body", ["", "{malformed", '{"is_active": 5}', "x" * 100_000])
    def test_body_is_ignored(self, action: str, active: bool, bundle: dict[str, Any], body: str) -> None:
        headers = {"content-type": "text/plain"}
        answer = request("POST", f"/{bundle['id']}/{action}", body=body, headers=headers)
        assert answer.status == 200
        assert answer.bundle["is_active"] is active
