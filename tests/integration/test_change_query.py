"""What may stand in the query of a change."""

import json
from typing import Any

import pytest

from tests.client import Answer, request

CHANGES = [
    ("POST", "", {"name": "n", "token_amount": 1, "price": 1}), ("PUT", "/{id}", {"name": "Other"}),
    ("PATCH", "/{id}", {"name": "Other"}),
    ("POST", "/{id}/activate", None), ("POST", "/{id}/deactivate", None),
    ("DELETE", "/{id}", None), ("POST", "/{id}/restore", {"version": 1}),
    ("PATCH", "", {"bundles": [{"id": "{id}", "name": "Other"}]}),
]  # fmt: skip
each_change = pytest.mark.parametrize(
    ("method", "path", "body"), CHANGES, ids=[f"{method} {path}" for method, path, _ in CHANGES]
)


def ask(bundle: dict[str, Any], method: str, path: str, body: Any, query: str) -> Answer:
    text = None if body is None else json.dumps(body).replace("{id}", bundle["id"])
    return request(method, path.format(id=bundle["id"]), body=text, query=query)


def refused(bundle: dict[str, Any], method: str, path: str, body: Any, query: str) -> dict[str, Any]:
    """Ask for what changes nothing because of one parameter, and return what is said of that."""
    before = request("GET").json
    answer = ask(bundle, method, path, body, query)
    assert answer.status == 400
    assert request("GET").json == before
    (error,) = answer.json["errors"]
    return dict(error)


class TestAnUnknownParameter:
    @each_change
    @pytest.mark.parametrize("name", ["validateonly", "validate-only", "page", "Reason", "%00", ""])
    def test_changes_nothing(
        self, bundle: dict[str, Any], method: str, path: str, body: Any, name: str
    ) -> None:
        error = refused(bundle, method, path, body, f"{name}=true")
        assert (error["code"], error["detail"]) == ("extra_forbidden", "is not a parameter of this")


class TestValidateOnly:
    @each_change
    @pytest.mark.parametrize("value", ["", "1", "yes", "tru", "null", "true,true"])
    def test_is_true_or_false(
        self, bundle: dict[str, Any], method: str, path: str, body: Any, value: str
    ) -> None:
        error = refused(bundle, method, path, body, f"validate_only={value}")
        assert error["parameter"] == "validate_only"

    def test_is_not_taken_twice(self, bundle: dict[str, Any]) -> None:
        error = refused(bundle, "DELETE", "/{id}", None, "validate_only=true&validate_only=true")
        assert error["code"] == "duplicate"


class TestReason:
    def reason(self, bundle: dict[str, Any]) -> str | None:
        entry = request("GET", f"/{bundle['id']}/history").json["items"][0]
        reason: str | None = entry["reason"]
        return reason

    @each_change
    def test_is_kept(self, bundle: dict[str, Any], method: str, path: str, body: Any) -> None:
        if path == "/{id}/restore":
            ask(bundle, "PUT", "/{id}", {"name": "Before"}, "")
        elif path == "/{id}/activate":
            ask(bundle, "POST", "/{id}/deactivate", None, "")
        answer = ask(bundle, method, path, body, "reason=autumn%20sale")
        changed = answer.bundle if answer.status == 201 else bundle
        assert self.reason(changed) == "autumn sale"

    @pytest.mark.parametrize(
        ("given", "kept"),
        [
            ("", None), ("%20%20", None), ("%09%0A", None), ("%20x%20", "x"), ("x" * 200, "x" * 200),
            ("%F0%9F%92%B6%E2%80%8D", "💶\u200d"), ("%27%3B--", "';--"), ("%20" * 99 + "x" * 200, "x" * 200),
        ],
    )  # fmt: skip
    def test_is_trimmed(self, bundle: dict[str, Any], given: str, kept: str | None) -> None:
        assert ask(bundle, "PUT", "/{id}", {"name": "Other"}, f"reason={given}").status == 200
        assert self.reason(bundle) == kept

    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            ("x" * 201, "string_too_long"), ("a%00b", "string_unicode"), ("a%0Ab", "control_characters"),
            ("a%1Bb", "control_characters"), ("a%7Fb", "control_characters"),
            ("a%C2%85b", "control_characters"),
        ],
    )  # fmt: skip
    def test_of_another_form_is_refused(self, bundle: dict[str, Any], given: str, kind: str) -> None:
        error = refused(bundle, "PUT", "/{id}", {"name": "Other"}, f"reason={given}")
        assert (error["parameter"], error["code"]) == ("reason", kind)

    def test_is_none_without_a_change(self, bundle: dict[str, Any]) -> None:
        ask(bundle, "PUT", "/{id}", {"name": bundle["name"]}, "reason=x")
        assert request("GET", f"/{bundle['id']}/history").json["total"] == 1

    def test_is_no_part_of_what_a_key_compares(self, bundle: dict[str, Any]) -> None:
        body, headers = {"name": "n", "token_amount": 1, "price": 1}, {"idempotency-key": "k"}
        first, second = (
            request("POST", json_body=body, headers=headers, query={"reason": reason}) for reason in "ab"
        )
        assert (second.status, second.text) == (201, first.text)
        assert self.reason(first.bundle) == "a"
