"""The deploy-time job, called as CloudFormation and as people call it."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from types import SimpleNamespace
from typing import Any

import migrate
import pytest
from alembic.script import ScriptDirectory

from dev.local import ROOT
from tests.conftest import CreateDatabase, use_settings
from tests.postgres import connected, execute

HEAD = ScriptDirectory(str(ROOT / "migrations")).get_current_head()


def context(seconds: float = 300) -> Any:
    """Make what the function looks at in Lambda's context."""
    return SimpleNamespace(get_remaining_time_in_millis=lambda: int(seconds * 1000))


class CloudFormation(HTTPServer):
    """Takes the answers of custom resources, as the address in their event does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.answers: list[dict[str, Any]] = []

    def event(self, kind: str = "Create", **more: Any) -> dict[str, Any]:
        return {
            "RequestType": kind,
            "ResponseURL": f"http://127.0.0.1:{self.server_port}/answer",
            "StackId": "stack",
            "RequestId": "request",
            "LogicalResourceId": "Migration",
            "ResourceProperties": {"Version": "1"},
            **more,
        }


class Taker(BaseHTTPRequestHandler):
    server: CloudFormation

    def do_PUT(self) -> None:
        self.server.answers.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    with CloudFormation() as cloudformation:
        threading.Thread(target=cloudformation.serve_forever).start()
        yield cloudformation
        cloudformation.shutdown()


@pytest.fixture
def database_url(create_database: CreateDatabase) -> Iterator[str]:
    url = create_database()
    with use_settings(DATABASE_URL=url):
        yield url


def call(event: dict[str, Any], seconds: float = 300) -> dict[str, Any]:
    return migrate.handler(event, context(seconds))


@pytest.mark.usefixtures("database_url")
class TestDirectly:
    def test_up_and_down(self) -> None:
        upgraded = call({"command": "upgrade"})
        assert (upgraded["before"], upgraded["after"]) == (None, HEAD)
        assert any("0001" in line for line in upgraded["output"])
        assert call({"command": "current"})["after"] == HEAD
        assert call({"command": "check"})["after"] == HEAD
        downgraded = call({"command": "downgrade", "revision": "0001"})
        assert (downgraded["before"], downgraded["after"]) == (HEAD, "0001")

    @pytest.mark.parametrize(
        "event", [{"command": "drop"}, {"command": "downgrade"}, {"command": "downgrade", "revision": "9999"}]
    )
    def test_what_cannot_be_done_fails(self, event: dict[str, Any]) -> None:
        with pytest.raises(Exception, match=r"command|revision|9999"):
            call(event)

    def test_drift_fails_the_check(self, database_url: str) -> None:
        call({"command": "upgrade"})
        execute(database_url, "ALTER TABLE token_bundle ADD COLUMN colour text")
        with pytest.raises(Exception, match="colour"):
            call({"command": "check"})

    def test_a_database_that_is_ahead_is_left_alone(self, database_url: str) -> None:
        call({"command": "upgrade"})
        execute(database_url, "UPDATE alembic_version SET version_num = '9999'")
        outcome = call({"command": "upgrade"})
        assert (outcome["before"], outcome["after"]) == ("9999", "9999")
        assert "ahead" in outcome["output"][0]


class TestForCloudFormation:
    @pytest.mark.parametrize("kind", ["Create", "Update"])
    @pytest.mark.usefixtures("database_url")
    def test_migrates(self, cloudformation: CloudFormation, kind: str) -> None:
        call(cloudformation.event(kind))
        (answer,) = cloudformation.answers
        assert answer["Status"] == "SUCCESS"
        named = {"StackId": "stack", "RequestId": "request", "LogicalResourceId": "Migration"}
        assert answer | named == answer
        assert answer["PhysicalResourceId"]
        assert call({"command": "current"})["after"] == HEAD

    @pytest.mark.usefixtures("database_url")
    def test_a_delete_does_nothing(self, cloudformation: CloudFormation) -> None:
        call({"command": "upgrade"})
        call(cloudformation.event("Delete", PhysicalResourceId="database-migration"))
        assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS"]
        assert call({"command": "current"})["after"] == HEAD

    @pytest.mark.parametrize(
        ("url", "reason"), [("postgresql://nobody@127.0.0.1:1/none", "connection"), (None, "DATABASE_URL")]
    )
    def test_without_a_database(self, cloudformation: CloudFormation, url: str | None, reason: str) -> None:
        with use_settings(DATABASE_URL=url):
            call(cloudformation.event())
        (answer,) = cloudformation.answers
        assert answer["Status"] == "FAILED"
        assert reason in answer["Reason"]

    @pytest.mark.usefixtures("database_url")
    def test_an_odd_event(self, cloudformation: CloudFormation) -> None:
        event = cloudformation.event()
        call({"ResponseURL": event["ResponseURL"]})
        assert cloudformation.answers[0]["Status"] == "SUCCESS"

    def test_a_failed_migration(self, cloudformation: CloudFormation, database_url: str) -> None:
        execute(database_url, "CREATE TABLE token_bundle ()")
        call(cloudformation.event())
        (answer,) = cloudformation.answers
        assert answer["Status"] == "FAILED"
        assert "already exists" in answer["Reason"]

    def test_answers_before_its_time_is_over(self, cloudformation: CloudFormation, database_url: str) -> None:
        call({"command": "upgrade", "revision": "0001"})
        with connected(database_url) as other:
            other.run("BEGIN")
            other.run("LOCK TABLE token_bundle")
            call(cloudformation.event(), seconds=migrate.SECONDS_TO_ANSWER + 0.2)
        assert cloudformation.answers[0]["Status"] == "FAILED"
        assert "longer" in cloudformation.answers[0]["Reason"]
