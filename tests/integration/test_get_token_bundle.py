"""GET /token-bundles/{id}."""

from typing import Any

from tests.client import READ, request


class TestGet:
    def test_reader(self, bundle: dict[str, Any]) -> None:
        answer = request("GET", f"/{bundle['id']}", scope=READ)
        assert answer.status == 200
        assert answer.json == {"bundle": bundle}
        assert answer.headers["etag"] == '"1"'

    def test_id_in_capitals(self, bundle: dict[str, Any]) -> None:
        assert request("GET", f"/{bundle['id'].upper()}").bundle == bundle
