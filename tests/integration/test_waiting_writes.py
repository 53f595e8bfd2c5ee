"""A write that waited for another one starts from what that one left, not from what was there before."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.client import Answer, request
from tests.integration.at_once import VALID
from tests.integration.conftest import url_of
from tests.postgres import connected, execute, recorded
from tests.waiting import until

REPRICE = recorded("UPDATE token_bundle SET price = 7, version = version + 1", "updated")
EXPIRE_KEYS = "UPDATE token_bundle_idempotency_key SET created_at = now() - interval '25 hours'"
# What another environment does that creates a bundle with the key.
USE_KEY_AGAIN = """
WITH renewed AS (
    UPDATE token_bundle_idempotency_key SET bundle_id = gen_random_uuid(), created_at = now()
    RETURNING bundle_id
)
INSERT INTO token_bundle_change (bundle_id, version, action, bundle)
SELECT
    renewed.bundle_id, 1, 'created',
    first.bundle || jsonb_build_object('id', renewed.bundle_id, 'name', 'Newer')
FROM renewed, token_bundle_change AS first
WHERE first.bundle ->> 'name' = 'Older'
"""


def after_waiting_for(statement: str, database: Engine, ask: Callable[[], Answer]) -> Answer:
    """Send a request that has to wait for the statement of somebody else, who then commits."""
    with ThreadPoolExecutor(1) as thread, connected(url_of(database)) as other:
        other.run("BEGIN")
        other.run(statement)
        answer = thread.submit(ask)
        until(lambda: other.run("SELECT FROM pg_locks WHERE NOT granted"))
        other.run("COMMIT")
        return answer.result()


class TestWaitingWrite:
    @pytest.mark.parametrize("action", ["activate", "deactivate"])
    def test_activation(self, action: str, database: Engine, committed: dict[str, Any]) -> None:
        wanted = action == "activate"
        path = f"/{committed['id']}"
        request("POST", f"{path}/{action}")
        opposite = recorded(
            f"UPDATE token_bundle SET is_active = {not wanted}, version = version + 1", "updated"
        )

        answer = after_waiting_for(opposite, database, lambda: request("POST", f"{path}/{action}"))

        assert answer.status == 200
        assert answer.bundle["is_active"] is wanted
        assert request("GET", path).bundle == answer.bundle

    def test_update_to_what_it_was(self, database: Engine, committed: dict[str, Any]) -> None:
        path = f"/{committed['id']}"
        body = {"price": committed["price"]}

        answer = after_waiting_for(REPRICE, database, lambda: request("PATCH", path, json_body=body))

        assert answer.status == 200
        assert (answer.bundle["price"], answer.bundle["version"]) == (committed["price"], 3)
        assert request("GET", path).bundle == answer.bundle

    def test_expected_version_is_the_newest(self, database: Engine, committed: dict[str, Any]) -> None:
        path = f"/{committed['id']}"
        tag = {"If-Match": request("GET", path).headers["etag"]}

        answer = after_waiting_for(REPRICE, database, lambda: request("DELETE", path, headers=tag))

        assert answer.status == 412
        assert request("GET", path).bundle["version"] == 2

    def test_expired_key_is_used_again(self, database: Engine, committed: dict[str, Any]) -> None:
        older, newer = ({**VALID, "name": name} for name in ("Older", "Newer"))
        key = {"Idempotency-Key": committed["id"]}
        request("POST", json_body=older, headers=key)
        execute(url_of(database), EXPIRE_KEYS)

        answer = after_waiting_for(
            USE_KEY_AGAIN, database, lambda: request("POST", json_body=newer, headers=key)
        )

        assert (answer.status, answer.headers["idempotency-replayed"]) == (201, "true"), answer.text
        assert answer.bundle["name"] == "Newer"
