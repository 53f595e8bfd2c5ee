"""A write that waited for another one starts from what that one left, not from what was there before."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy import Engine

from tests.client import Answer, request
from tests.integration.conftest import url_of
from tests.postgres import connected
from tests.waiting import until

REPRICE = "UPDATE token_bundle SET price = 7, version = version + 1"


def after_waiting_for(statement: str, database: Engine, ask: Callable[[], Answer]) -> Answer:
    """Send a request that has to wait for the statement of somebody else, who then commits."""
    answers = []
    thread = threading.Thread(target=lambda: answers.append(ask()))
    with connected(url_of(database)) as other:
        other.run("BEGIN")
        other.run(statement)
        thread.start()
        until(lambda: other.run("SELECT FROM pg_locks WHERE NOT granted"))
        other.run("COMMIT")
    thread.join()
    return answers[0]


class TestWaitingWrite:
    @pytest.mark.parametrize("action", ["activate", "deactivate"])
    def test_activation(self, action: str, database: Engine, committed: dict[str, Any]) -> None:
        wanted = action == "activate"
        path = f"/{committed['id']}"
        request("POST", f"{path}/{action}")
        opposite = f"UPDATE token_bundle SET is_active = {not wanted}, version = version + 1"

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
