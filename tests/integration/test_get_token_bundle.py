"""GET /token-bundles/{id}."""

from typing import Any

import pytest

from tests.client import READ, WRITE, request

UNKNOWN_IDS = [
    "00000000-0000-0000-0000-000000000000",
    "no-uuid",
    "1",
    "493de819-4461-45a2-bf0c-aac6a105f47",
    "493de819-4461-45a2-bf0c-aac6a105f4777",
    "' OR 1=1 --",
    "%00",
    "\0",
    "\ud800",
    "ü",
    "a/b",
]


class TestGet:
    def test_anonymous(self, bundle: dict[str, Any]) -> None:
        assert request("GET", f"/{bundle['id']}", scope=None).status == 401

    def test_writer(self, bundle: dict[str, Any]) -> None:
        assert request("GET", f"/{bundle['id']}", scope=WRITE).status == 403

    def test_reader(self, bundle: dict[str, Any]) -> None:
        answer = request("GET", f"/{bundle['id']}", scope=READ)
        assert answer.status == 200
        assert answer.json == {"bundle": bundle}
        assert answer.headers["etag"].startswith('"')

    def test_id_in_capitals(self, bundle: dict[str, Any]) -> None:
        assert request("GET", f"/{bundle['id'].upper()}").bundle == bundle

    @pytest.mark.usefixtures("connection")
    @pytest.mark.parametrize("unknown", UNKNOWN_IDS[:-1])
    def test_no_such_bundle(self, unknown: str) -> None:
        answer = request("GET", f"/{unknown}")
        assert answer.status == 404
        assert answer.json["title"] == "Not Found"
        assert answer.json["error"] == answer.json["detail"]
