"""The code and the metadata of a bundle."""

import json
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from tests.client import request

NO_ID = "00000000-0000-4000-8000-000000000000"
NEW: dict[str, object] = {"name": "Starter", "token_amount": 1000, "price": "9.90"}


@pytest.fixture
def coded(connection: sqlalchemy.Connection) -> dict[str, Any]:  # noqa: ARG001
    """A bundle with a code."""
    return request("POST", json_body=NEW | {"code": "starter-1"}).bundle


def assert_taken(answer: Any) -> None:
    assert answer.status == 409, answer.text
    (error,) = answer.json["errors"]
    assert (error["pointer"], error["code"]) == ("/code", "code_taken")


def refusals(bundle: dict[str, Any], name: str, value: object) -> list[dict[str, Any]]:
    """Try a field in a creation and in an update, and return what is said of it each time."""
    answers = [
        request("POST", json_body=NEW | {name: value}),
        request("PUT", f"/{bundle['id']}", json_body={name: value}),
    ]
    errors = []
    for answer in answers:
        assert answer.status == 400, answer.text
        (error,) = answer.json["errors"]
        assert error["detail"] in answer.json["detail"]
        errors.append(error)
    return errors


class TestCode:
    @pytest.mark.parametrize("code", ["a", "0", "a.b_c-d", "x" * 64, "9--9"])
    def test_is_kept(self, bundle: dict[str, Any], code: str) -> None:
        assert bundle["code"] is None
        answer = request("PUT", f"/{bundle['id']}", json_body={"code": code})
        assert answer.bundle["code"] == code
        assert request("GET", f"/{bundle['id']}").bundle["code"] == code

    @pytest.mark.parametrize("code", ["", None])
    def test_of_nothing_is_none(self, coded: dict[str, Any], code: str | None) -> None:
        assert request("PUT", f"/{coded['id']}", json_body={"code": code}).bundle["code"] is None

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("A", "code_format"), ("-a", "code_format"), ("a.", "code_format"), (" a", "code_format"),
            ("a b", "code_format"), ("ä", "code_format"), ("a\n", "code_format"), ("a\0", "code_format"),
            ("_", "code_format"), ("٣", "code_format"), ("x" * 65, "string_too_long"), (1, "string_type"),
            (True, "string_type"), (["a"], "string_type"),
        ],
    )  # fmt: skip
    def test_of_another_form_is_refused(self, bundle: dict[str, Any], code: object, kind: str) -> None:
        for error in refusals(bundle, "code", code):
            assert (error["pointer"], error["code"]) == ("/code", kind)

    def test_that_another_has_is_a_conflict(self, coded: dict[str, Any], bundle: dict[str, Any]) -> None:
        assert_taken(request("POST", json_body=NEW | {"code": coded["code"]}))
        assert_taken(request("PUT", f"/{bundle['id']}", json_body={"code": coded["code"]}))
        assert request("PUT", f"/{coded['id']}", json_body={"code": coded["code"]}).status == 200

    def test_of_an_inactive_bundle_is_taken_too(self, coded: dict[str, Any]) -> None:
        request("POST", f"/{coded['id']}/deactivate")
        assert_taken(request("POST", json_body=NEW | {"code": coded["code"]}))

    def test_is_free_after_a_change_and_after_a_deletion(self, coded: dict[str, Any]) -> None:
        request("PUT", f"/{coded['id']}", json_body={"code": "other"})
        second = request("POST", json_body=NEW | {"code": coded["code"]}).bundle
        request("DELETE", f"/{second['id']}")
        assert request("POST", json_body=NEW | {"code": coded["code"]}).status == 201

    def test_that_is_taken_uses_no_key_up(self, coded: dict[str, Any]) -> None:
        headers = {"idempotency-key": "key-1"}
        body = NEW | {"code": coded["code"]}
        assert_taken(request("POST", json_body=body, headers=headers))
        request("DELETE", f"/{coded['id']}")
        created = request("POST", json_body=body, headers=headers)
        assert created.status == 201
        assert "idempotency-replayed" not in created.headers
        assert request("POST", json_body=body, headers=headers).headers["idempotency-replayed"] == "true"

    def test_with_a_used_key_a_different_body_is_told_first(self, coded: dict[str, Any]) -> None:
        headers = {"idempotency-key": "key-1"}
        assert request("POST", json_body=NEW, headers=headers).status == 201
        answer = request("POST", json_body=NEW | {"code": coded["code"]}, headers=headers)
        assert answer.status == 422

    def test_is_told_after_a_version_that_is_not_current(
        self, coded: dict[str, Any], bundle: dict[str, Any]
    ) -> None:
        body = {"code": coded["code"], "version": 7}
        answer = request("PUT", f"/{bundle['id']}", json_body=body)
        assert answer.json["errors"][0]["code"] == "changed_meanwhile"


class TestMetadata:
    @pytest.mark.parametrize(
        "metadata",
        [
            {}, {"a": ""}, {"A-z_0.9": "x" * 200}, {"k" * 40: "💶 \u202e 'quoted'\n"},
            {f"key{n}": str(n) for n in range(20)},
        ],
    )  # fmt: skip
    def test_is_kept_and_replaced_whole(self, bundle: dict[str, Any], metadata: dict[str, str]) -> None:
        path = f"/{bundle['id']}"
        assert bundle["metadata"] == {}
        request("PUT", path, json_body={"metadata": {"before": "1"}})
        assert request("PUT", path, json_body={"metadata": metadata}).bundle["metadata"] == metadata
        assert request("GET", path).bundle["metadata"] == metadata
        assert request("PUT", path, json_body={"metadata": None}).bundle["metadata"] == {}

    @pytest.mark.parametrize(
        ("metadata", "pointer"),
        [
            ({"a": 1}, "/metadata/a"), ({"a": None}, "/metadata/a"), ({"a": "x" * 201}, "/metadata/a"),
            ({"a": "\0"}, "/metadata/a"), ({"a": "\ud800"}, "/metadata/a"), ({"a": {}}, "/metadata/a"),
            ({"": "x"}, "/metadata/"), ({"a b": "x"}, "/metadata/a b"),
            ({"k" * 41: "x"}, f"/metadata/{'k' * 41}"),
            ({"a/b": "x"}, "/metadata/a~1b"), ({"ä": "x"}, "/metadata/ä"), ({"\ud800": "x"}, "/metadata/?"),
            ({f"key{n}": "x" for n in range(21)}, "/metadata"), ([], "/metadata"), ("", "/metadata"),
            (1, "/metadata"), ([["a", "b"]], "/metadata"),
        ],
    )  # fmt: skip
    def test_of_another_form_is_refused(self, bundle: dict[str, Any], metadata: object, pointer: str) -> None:
        for error in refusals(bundle, "metadata", metadata):
            assert error["pointer"] == pointer

    def test_a_name_in_it_that_is_given_twice_is_refused(self, bundle: dict[str, Any]) -> None:
        answer = request("PUT", f"/{bundle['id']}", body='{"metadata": {"a": "1", "a": "2"}}')
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/metadata/a")

    def test_the_same_in_another_order_is_no_change(self, bundle: dict[str, Any]) -> None:
        path = f"/{bundle['id']}"
        first = request("PUT", path, body='{"metadata": {"a": "1", "b": "2"}}').bundle
        assert request("PUT", path, body='{"metadata": {"b": "2", "a": "1"}}').bundle == first

    @pytest.mark.parametrize("metadata", ["[]", '{"a": 1}', '{"a": ["x"]}', '{"a": null}', '"a"', "null"])
    def test_is_one_of_texts_whoever_writes(self, connection: sqlalchemy.Connection, metadata: str) -> None:
        insert = (
            "INSERT INTO token_bundle (name, token_amount, price, metadata) VALUES ('n', 1, 1, :metadata)"
        )
        with pytest.raises(sqlalchemy.exc.DBAPIError, match="ck_token_bundle_metadata_texts"):
            connection.execute(text(insert), {"metadata": metadata})


class TestHistory:
    def test_has_both(self, coded: dict[str, Any]) -> None:
        path = f"/{coded['id']}"
        request("PUT", path, json_body={"code": "new", "metadata": {"a": "1"}})
        updated, created = request("GET", f"{path}/history").json["items"]
        assert updated["changes"] == {
            "code": {"from": "starter-1", "to": "new"}, "metadata": {"from": {}, "to": {"a": "1"}},
        }  # fmt: skip
        assert created["changes"]["code"] == {"from": None, "to": "starter-1"}

    def test_of_before_there_were_any_still_reads(self, connection: sqlalchemy.Connection) -> None:
        old = {
            "id": "5d2c3c0e-6b0b-4c5c-9d0b-0f7c2f0e6a51", "name": "Old", "description": None,
            "token_amount": 5, "price": 1.5, "is_active": True, "sort_order": 0, "version": 1,
            "created_at": "2026-01-01T00:00:00+00:00", "updated_at": "2026-01-01T00:00:00+00:00",
        }  # fmt: skip
        connection.execute(
            text(
                "WITH entry AS (INSERT INTO token_bundle_change (bundle_id, version, action, bundle)"
                " VALUES (:id, 1, 'created', CAST(:old AS jsonb)))"
                " INSERT INTO token_bundle (id, name, token_amount, price) VALUES (:id, 'Old', 5, 1.5)"
            ),
            {"id": old["id"], "old": json.dumps(old)},
        )
        path = f"/{old['id']}"
        assert request("PUT", path, json_body={"code": "old"}).bundle["version"] == 2
        updated, created = request("GET", f"{path}/history").json["items"]
        assert updated["changes"] == {"code": {"from": None, "to": "old"}}
        assert created["changes"]["metadata"] == {"from": None, "to": {}}
        restored = request("POST", f"{path}/restore", json_body={"version": 1}).bundle
        assert (restored["code"], restored["metadata"], restored["version"]) == (None, {}, 3)


class TestFilters:
    @pytest.fixture(autouse=True)
    def bundles(self, connection: sqlalchemy.Connection) -> list[dict[str, Any]]:
        bodies: list[dict[str, object]] = [
            {"code": "b", "is_active": True}, {"code": "a", "is_active": False}, {"is_active": True},
            {"code": "a.b-c", "is_active": True},
        ]  # fmt: skip
        return [request("POST", json_body=NEW | body).bundle for body in bodies]

    def found(self, **query: str) -> list[str | None]:
        return [item["code"] for item in request("GET", query=query).json["items"]]

    def test_active_or_not(self) -> None:
        assert sorted(map(str, self.found(is_active="TRUE"))) == ["None", "a.b-c", "b"]
        assert self.found(is_active="false") == ["a"]
        assert self.found(is_active="false", include_inactive="false") == []
        assert len(self.found(is_active="true", include_inactive="False")) == 3

    def test_by_codes_and_ids(self, bundles: list[dict[str, Any]]) -> None:
        b, a, none, _ = (bundle["id"] for bundle in bundles)
        assert self.found(code="a,b,unknown", sort="code") == ["a", "b"]
        assert self.found(id=f"{none},{a.upper()}", sort="code") == ["a", None]
        assert self.found(id=b, code="a.b-c", sort="-code") == ["b", "a.b-c"]
        assert self.found(id=f"{a},00000000-0000-4000-8000-000000000000", is_active="true") == []
        for code in ("", "{}", 'a","b', "NULL", "A", "a\\", "'"):
            assert self.found(code=code) == [], code

    def test_the_total_is_of_what_is_found(self) -> None:
        page = request("GET", query={"code": "a,b", "per_page": "1"}).json
        assert (page["total"], page["pages"], len(page["items"])) == (2, 2, 1)

    def test_in_the_order_of_codes_those_without_come_last(self) -> None:
        assert self.found(sort="code") == ["a", "a.b-c", "b", None]
        assert self.found(sort="-code") == ["b", "a.b-c", "a", None]

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ({"id": "x"}, "id"), ({"id": ""}, "id"), ({"is_active": "maybe"}, "is_active"),
            ({"is_active": ""}, "is_active"), ({"code": "\0"}, "code"),
            ({"code": ",".join(["a"] * 101)}, "code"),
            ({"id": ",".join([NO_ID] * 101)}, "id"),
            ({"id": ",".join([NO_ID] * 60), "code": ",".join("a" * 41)}, "code"),
        ],
    )  # fmt: skip
    def test_of_another_form_are_refused(self, query: dict[str, str], parameter: str) -> None:
        answer = request("GET", query=query)
        assert answer.status == 400
        assert {error["parameter"] for error in answer.json["errors"]} == {parameter}

    def test_a_hundred_of_both_are_not_too_many(self) -> None:
        ids = ",".join([NO_ID] * 60)
        assert request("GET", query={"id": ids, "code": ",".join("a" * 40)}).status == 200
