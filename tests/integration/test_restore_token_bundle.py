"""POST …/token-bundles/{bundle_id}/restore: what a bundle was at a version."""

import json
from typing import Any

import pytest
import sqlalchemy

from tests.client import Answer, request
from tests.conftest import use_settings

NEW = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
OLD = NEW | {"code": "old", "description": "d", "sort_order": 3, "metadata": {"a": "1"}}
NO_ID = "00000000-0000-4000-8000-000000000000"


def restore(bundle: dict[str, Any], version: object = 1, **options: Any) -> Answer:
    return request("POST", f"/{bundle['id']}/restore", json_body={"version": version}, **options)


@pytest.fixture
def first(connection: sqlalchemy.Connection) -> dict[str, Any]:  # noqa: ARG001
    """A bundle at its first version."""
    return request("POST", json_body=OLD).bundle


@pytest.fixture
def changed(first: dict[str, Any]) -> dict[str, Any]:
    """The bundle when it is not what it was at first."""
    other = {"code": "new", "name": "Other", "description": None, "token_amount": 5, "price": "0.01"}
    body = {**other, "is_active": False, "sort_order": 0, "metadata": None}
    return request("PUT", f"/{first['id']}", json_body=body).bundle


@pytest.fixture
def deleted(changed: dict[str, Any]) -> dict[str, Any]:
    """A bundle that has been deleted, at version 3."""
    assert request("DELETE", f"/{changed['id']}").status == 200
    return changed


class TestAccess:
    def test_nobody(self, changed: dict[str, Any]) -> None:
        assert restore(changed, scope=None).status == 401
        assert restore(changed, scope="token-bundles:read").status == 403


class TestWhatExists:
    def test_is_what_it_was(self, first: dict[str, Any], changed: dict[str, Any]) -> None:
        answer = restore(changed, query={"reason": "a mistake"})
        assert answer.status == 200
        assert answer.headers["etag"] == '"3"'
        assert answer.bundle["updated_at"] > changed["updated_at"]
        assert answer.bundle == first | {"version": 3, "updated_at": answer.bundle["updated_at"]}
        assert answer.bundle.items() >= {**OLD, "currency": "EUR", "is_active": True}.items()
        newest = request("GET", f"/{changed['id']}/history").json["items"][0]
        assert (newest["action"], newest["reason"]) == ("restored", "a mistake")
        assert newest["changes"]["price"] == {"from": "0.01", "to": "9.90"}

    def test_as_it_is_is_no_new_version(self, changed: dict[str, Any]) -> None:
        assert restore(changed, 2, query={"reason": "none"}).bundle == changed
        assert request("GET", f"/{changed['id']}/history").json["total"] == 2

    def test_is_found_by_its_new_name(self, changed: dict[str, Any]) -> None:
        restore(changed)
        assert request("GET", query={"q": "start"}).json["total"] == 1
        assert request("GET", query={"q": "other"}).json["total"] == 0

    @pytest.mark.parametrize(
        ("headers", "status"),
        [
            ({"if-match": '"2"'}, 200), ({"if-match": "*"}, 200), ({"if-match": '"1"'}, 412),
            ({"if-none-match": "*"}, 412), ({"if-none-match": '"2"'}, 412), ({"if-match": "2"}, 400),
        ],
    )  # fmt: skip
    def test_on_a_condition(self, changed: dict[str, Any], headers: dict[str, str], status: int) -> None:
        assert restore(changed, headers=headers).status == status

    def test_a_version_must_be_named_where_that_is_demanded(self, changed: dict[str, Any]) -> None:
        with use_settings(REQUIRE_IF_MATCH="true"):
            assert restore(changed).status == 428
            assert restore(changed, headers={"if-match": "*"}).status == 200

    def test_not_if_another_has_the_code_by_now(self, changed: dict[str, Any]) -> None:
        assert request("POST", json_body=NEW | {"code": "old"}).status == 201
        answer = restore(changed)
        (error,) = answer.json["errors"]
        assert (answer.status, error["pointer"], error["code"]) == (409, "/code", "code_taken")


class TestWhatIsDeleted:
    def test_comes_back_inactive_under_its_id(self, deleted: dict[str, Any]) -> None:
        answer = restore(deleted)
        assert answer.status == 200
        assert answer.headers["etag"] == '"4"'
        kept = {name: answer.bundle[name] for name in ("id", "created_at")}
        assert kept == {name: deleted[name] for name in kept}
        assert (answer.bundle["is_active"], answer.bundle["name"]) == (False, "Starter")
        assert request("GET", f"/{deleted['id']}").bundle == answer.bundle
        restored, gone, *_ = request("GET", f"/{deleted['id']}/history").json["items"]
        assert [restored["action"], gone["action"]] == ["restored", "deleted"]
        assert restored["changes"]["name"] == {"from": None, "to": "Starter"}

    def test_then_is_one_like_others(self, deleted: dict[str, Any]) -> None:
        restore(deleted)
        path = f"/{deleted['id']}"
        assert request("POST", f"{path}/activate").bundle["version"] == 5
        assert request("DELETE", path).status == 200
        assert restore(deleted, 5).bundle["version"] == 7
        assert request("GET", query={"q": "start"}).json["total"] == 1

    @pytest.mark.parametrize("tag", ["*", '"3"', '"4"', 'W/"3"'])
    def test_has_no_entity_tag(self, deleted: dict[str, Any], tag: str) -> None:
        assert restore(deleted, headers={"if-match": tag}).status == 412
        assert request("GET", f"/{deleted['id']}").status == 404

    def test_demands_none(self, deleted: dict[str, Any]) -> None:
        with use_settings(REQUIRE_IF_MATCH="true"):
            assert restore(deleted).status == 200

    def test_not_if_another_has_the_code_by_now(self, deleted: dict[str, Any]) -> None:
        assert request("POST", json_body=NEW | {"code": "old"}).status == 201
        assert restore(deleted).status == 409
        assert restore(deleted, 2).status == 200


class TestRefusal:
    def test_of_what_never_was(self, connection: object) -> None:
        assert restore({"id": NO_ID}).status == 404
        assert restore({"id": "x"}).status == 404

    @pytest.mark.parametrize("version", [3, 4, 99, 2**31, 2**63 - 1])
    def test_of_a_version_that_is_no_state(self, deleted: dict[str, Any], version: int) -> None:
        for headers in ({}, {"if-match": '"1"'}):
            answer = restore(deleted, version, headers=headers)
            assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/version")

    @pytest.mark.parametrize("version", [0, -1, 2**63, "1", 1.5, True, None, [1]])
    def test_of_what_is_no_version(self, deleted: dict[str, Any], version: object) -> None:
        answer = restore(deleted, version)
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/version")

    @pytest.mark.parametrize("body", [{}, {"version": 1, "name": "x"}])
    def test_of_another_body(self, deleted: dict[str, Any], body: dict[str, Any]) -> None:
        assert request("POST", f"/{deleted['id']}/restore", json_body=body).status == 400

    @pytest.mark.parametrize(
        ("then", "named"),
        [
            ({"price": 9.999}, "price"), ({"name": "x\u200b" * 200}, "name"), ({"name": "\u200b"}, "name"),
            ({"code": "Old", "metadata": {"a b": "1"}}, "code, metadata"),
            ({"description": "x" * 2001}, "description"),
        ],
    )  # fmt: skip
    def test_of_what_todays_rules_forbid(
        self, connection: sqlalchemy.Connection, changed: dict[str, Any], then: dict[str, Any], named: str
    ) -> None:
        entry = (
            "UPDATE token_bundle_change SET bundle = bundle || CAST(:then AS jsonb)"
            " WHERE bundle_id = :id AND version = 1"
        )
        connection.execute(sqlalchemy.text("ALTER TABLE token_bundle_change DISABLE TRIGGER is_kept"))
        connection.execute(sqlalchemy.text(entry), {"then": json.dumps(then), "id": changed["id"]})
        answer = restore(changed)
        assert answer.status == 400
        sentence = f"version: is not allowed any more because of: {named}"
        assert (answer.json["detail"], answer.json["errors"][0]["code"]) == (sentence, "not_restorable")
        assert request("GET", f"/{changed['id']}").bundle == changed
