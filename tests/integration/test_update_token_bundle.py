"""PUT and PATCH /token-bundles/{id}."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, text

from tests.client import WRITE, request

either = pytest.mark.parametrize("method", ["PUT", "PATCH"])
SERVER_FIELDS = {"version", "updated_at"}
# What is no id, or another one; the same for the currency.
OTHERS: dict[str, list[Any]] = {
    "id": ["5d2c3c0e-6b0b-4c5c-9d0b-0f7c2f0e6a51", "x", "", None, 5, [], "\0"],
    "currency": ["USD", "eur", "", None, 978, ["EUR"], {}, "\ud800"],
}


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
        wrong = {"name": None, "token_amount": "12", "price": "9.999", "is_active": 0}
        wrong |= {"id": "x", "version": "1", "currency": "USD", "colour": "red"}
        answer = request(method, f"/{bundle['id']}", json_body={"description": "changed"} | wrong)
        assert answer.status == 400
        pointers = sorted(error["pointer"] for error in answer.json["errors"])
        assert pointers == sorted(f"/{field}" for field in wrong)
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    @pytest.mark.parametrize(("body", "status"), [(None, 400), ("[]", 400), ("{}" + " " * 65_536, 413)])
    def test_wrong_bodies(self, method: str, bundle: dict[str, Any], body: str | None, status: int) -> None:
        assert request(method, f"/{bundle['id']}", body=body).status == status

    def test_a_body_that_is_not_json(self, method: str, bundle: dict[str, Any]) -> None:
        headers = {"content-type": "text/plain"}
        assert request(method, f"/{bundle['id']}", body="{}", headers=headers).status == 415


def errors_of(method: str, row_id: str, body: Any, **headers: str) -> tuple[int, list[dict[str, Any]]]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = request(method, f"/{row_id}", json_body=body, headers=named)
    return answer.status, answer.json.get("errors", [])


def conflict(current_version: int) -> tuple[int, list[dict[str, Any]]]:
    sentence = "It has been changed since it was read: read it again, and decide anew."
    entry = {"pointer": "/version", "detail": sentence, "code": "changed_meanwhile"}
    return 409, [{**entry, "current_version": current_version}]


@either
class TestAsItWasRead:
    """What was read may be sent back whole."""

    def test_changes_nothing(self, method: str, bundle: dict[str, Any]) -> None:
        answer = request(method, f"/{bundle['id']}", json_body=bundle)
        assert (answer.status, answer.bundle) == (200, bundle)

    def test_with_what_is_to_be_changed(self, method: str, bundle: dict[str, Any]) -> None:
        changed = request(method, f"/{bundle['id']}", json_body=bundle | {"price": "1.00"}).bundle
        assert changed == bundle | {"price": "1.00", "version": 2, "updated_at": changed["updated_at"]}
        (entry, _) = request("GET", f"/{bundle['id']}/history").json["items"]
        assert entry["changes"] == {"price": {"from": "9.90", "to": "1.00"}}

    @pytest.mark.parametrize("names", [("id",), ("currency",), ("version",), ("created_at", "updated_at")])
    def test_nothing_but_what_only_the_server_sets(
        self, method: str, bundle: dict[str, Any], names: tuple[str, ...]
    ) -> None:
        answer = request(method, f"/{bundle['id']}", json_body={name: bundle[name] for name in names})
        assert (answer.status, answer.bundle) == (200, bundle)

    @pytest.mark.parametrize("value", [None, "", "yesterday", 5, True, [], {"a": [1e300]}, "\0\ud800"])
    def test_times_are_ignored_whatever_they_are(
        self, method: str, bundle: dict[str, Any], value: Any
    ) -> None:
        body = {"created_at": value, "updated_at": value}
        assert request(method, f"/{bundle['id']}", json_body=body).bundle == bundle

    @pytest.mark.parametrize("write", [str.upper, lambda text: text.replace("-", ""), "urn:uuid:{}".format])
    def test_an_id_however_it_is_written(
        self, method: str, bundle: dict[str, Any], write: Callable[[str], str]
    ) -> None:
        body = {"id": write(bundle["id"])}
        assert request(method, f"/{bundle['id']}", json_body=body).status == 200
        assert request(method, f"/{write(bundle['id'])}", json_body={"id": bundle["id"]}).status == 200

    @pytest.mark.parametrize(
        ("name", "value"), [(name, value) for name, values in OTHERS.items() for value in values]
    )
    def test_another_one_is_refused(self, method: str, bundle: dict[str, Any], name: str, value: Any) -> None:
        status, (error,) = errors_of(method, bundle["id"], {"price": 1, name: value})
        assert (status, error["pointer"], error["detail"]) == (400, f"/{name}", "cannot be changed")
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    @pytest.mark.parametrize("value", [None, "1", "", 1.0, 1.5, True, [1], {}, 2**63, -(2**63) - 1, 10**400])
    def test_a_version_is_an_integer(self, method: str, bundle: dict[str, Any], value: Any) -> None:
        status, (error,) = errors_of(method, bundle["id"], {"price": 1, "version": value})
        assert (status, error["pointer"]) == (400, "/version")
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    @pytest.mark.parametrize("version", [0, -1, 2, 2**31, 2**63 - 1, -(2**63)])
    @pytest.mark.parametrize("change", [{}, {"name": "Changed"}])
    def test_another_version_is_a_conflict(
        self, method: str, bundle: dict[str, Any], version: int, change: dict[str, Any]
    ) -> None:
        assert errors_of(method, bundle["id"], {**change, "version": version}) == conflict(1)
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    def test_nobody_overwrites_what_they_have_not_seen(self, method: str, bundle: dict[str, Any]) -> None:
        request("PATCH", f"/{bundle['id']}", json_body={"price": 1})
        assert errors_of(method, bundle["id"], bundle | {"name": "Changed"}) == conflict(2)
        assert request("GET", f"/{bundle['id']}").bundle["name"] == "Starter"

    def test_comes_after_all_other_conditions(self, method: str, bundle: dict[str, Any]) -> None:
        old = {"version": 7}
        assert errors_of(method, bundle["id"], {**old, "price": "x"}, if_match='"2"')[0] == 400
        assert errors_of(method, str(uuid4()), old, if_match='"2"')[0] == 404
        assert errors_of(method, bundle["id"], old, if_match='"2"')[0] == 412
        assert errors_of(method, bundle["id"], old, if_none_match='"1"')[0] == 412
        assert errors_of(method, bundle["id"], old, if_match='"1"', if_none_match='"2"') == conflict(1)

    @pytest.mark.parametrize(
        ("body", "status"),
        [
            ({}, 404),
            ({"id": "5d2c3c0e-6b0b-4c5c-9d0b-0f7c2f0e6a51", "currency": "EUR", "version": 1}, 404),
            ({"id": "no-uuid"}, 400),
            ({"currency": "USD"}, 400),
            ({"version": "1"}, 400),
            ({"price": "x"}, 400),
        ],
    )
    def test_of_a_path_that_has_no_id(self, method: str, body: dict[str, Any], status: int) -> None:
        assert request(method, "/no-uuid", json_body=body).status == status
