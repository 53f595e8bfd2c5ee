"""Bundles that other tables refer to: neither waits for the other, but a deletion."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from shared.token_bundles.repository import BUNDLES
from shared.token_bundles.schemas.create import TokenBundleCreate
from tests.client import request
from tests.integration.conftest import assert_unavailable, functions_with, url_of
from tests.postgres import connected, execute

EDITS = {
    "name": "Other",
    "description": "Other.",
    "token_amount": 7,
    "price": "7",
    "is_active": False,
    "sort_order": 7,
    "code": "other",
    "metadata": {"a": "1"},
}
BUY = "INSERT INTO purchase (bundle_id) VALUES (:id)"


@pytest.fixture
def bundle(database: Engine, committed: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """A bundle that purchases can refer to, and functions that wait no longer for a lock than they must."""
    url = url_of(database)
    execute(url, "CREATE TABLE purchase (bundle_id uuid NOT NULL REFERENCES token_bundle (id))")
    try:
        with functions_with(DATABASE_LOCK_TIMEOUT="0.2"):
            yield committed
    finally:
        execute(url, "DROP TABLE purchase")


def test_every_field_is_tried() -> None:
    assert EDITS.keys() == TokenBundleCreate.model_fields.keys()


@pytest.mark.parametrize("field", EDITS)
def test_an_edit_does_not_wait_for_a_purchase(field: str, database: Engine, bundle: dict[str, Any]) -> None:
    with connected(url_of(database)) as shop:
        shop.run("BEGIN")
        shop.run(BUY, id=bundle["id"])
        answer = request("PATCH", f"/{bundle['id']}", json_body={field: EDITS[field]})
        assert (answer.status, answer.headers["etag"]) == (200, '"2"')
        shop.run("COMMIT")


def test_nothing_but_a_deletion_waits_for_a_purchase(database: Engine, bundle: dict[str, Any]) -> None:
    path = f"/{bundle['id']}"
    with connected(url_of(database)) as shop:
        shop.run("BEGIN")
        shop.run(BUY, id=bundle["id"])
        assert request("PATCH", path, json_body={"name": bundle["name"]}).status == 200
        assert request("PATCH", path, json_body={"name": "x"}, headers={"If-Match": '"7"'}).status == 412
        assert request("POST", f"{path}/deactivate").status == 200
        assert request("POST", f"{path}/activate").status == 200
        assert_unavailable(request("DELETE", path))
        shop.run("COMMIT")
    assert request("DELETE", path).json["errors"][0]["code"] == "still_referenced"


def test_an_error_that_ends_the_session_is_told_all_the_same(
    database: Engine, bundle: dict[str, Any]
) -> None:
    """As each does where somebody has set exit_on_error."""
    url, alter = url_of(database), f"ALTER DATABASE {database.url.database}"
    execute(
        url, f"INSERT INTO purchase (bundle_id) VALUES ('{bundle['id']}')", f"{alter} SET exit_on_error = on"
    )
    try:
        with functions_with():
            for _ in range(2):
                assert request("DELETE", f"/{bundle['id']}").status == 409
    finally:
        execute(url, f"{alter} RESET exit_on_error")


@pytest.mark.parametrize("field", EDITS)
def test_a_purchase_does_not_wait_for_an_edit(field: str, database: Engine, bundle: dict[str, Any]) -> None:
    """The edit is committed at once, so that psql has to hold the lock that it takes."""
    given = json.dumps({"id": bundle["id"], "fields": {field: EDITS[field]}})
    with connected(url_of(database)) as editor, connected(url_of(database)) as shop:
        editor.run("BEGIN")
        editor.run("PREPARE edit AS " + BUNDLES.update_sql)
        editor.run(f"EXECUTE edit('EUR', '{given}', '{{\"action\": \"updated\"}}', false)")
        shop.run("SET lock_timeout = '0.2s'")
        shop.run(BUY, id=bundle["id"])
        editor.run("COMMIT")
