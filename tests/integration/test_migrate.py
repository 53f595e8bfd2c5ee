"""The deploy-time job, called as CloudFormation and as people call it."""

import io
import json
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.error import HTTPError

import migrate
import pytest

from migrations import cloudformation as answering
from shared.logs import logger
from tests.conftest import CreateDatabase, use_settings
from tests.integration.test_migration_runs import HEAD, add_migration, copy_checkout
from tests.postgres import connected, execute
from tests.waiting import until


def context(seconds: float = 300) -> Any:
    """Make what the function looks at in Lambda's context."""
    return SimpleNamespace(
        aws_request_id="lambda-1", get_remaining_time_in_millis=lambda: int(seconds * 1000)
    )


class CloudFormation(HTTPServer):
    """Takes the answers of custom resources, as the address in their event does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Taker)
        self.answers: list[dict[str, Any]] = []
        self.largest = 0
        # What it answers to the tries that come first.
        self.statuses: list[int] = []
        self.tries = 0

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
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.tries += 1
        status = self.server.statuses.pop(0) if self.server.statuses else 200
        if status == 200:
            self.server.answers.append(json.loads(body))
            self.server.largest = max(self.server.largest, len(body))
        self.send_response(status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def cloudformation() -> Iterator[CloudFormation]:
    with CloudFormation() as cloudformation:
        threading.Thread(target=cloudformation.serve_forever, args=[0.01]).start()
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

    def test_a_late_answer_is_the_only_one(
        self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(migrate, "run", lambda *_: until(lambda: cloudformation.answers))
        call(cloudformation.event(), seconds=0)
        assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED"]

    def test_the_end_waits_for_a_late_answer_that_is_on_its_way(
        self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answering, "PAUSE", 0.5)
        cloudformation.statuses = [503]
        monkeypatch.setattr(migrate, "run", lambda *_: until(lambda: cloudformation.tries))
        call(cloudformation.event(), seconds=0)
        assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED"]

    def test_nothing_comes_after_an_answer_in_time(
        self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(answering, "PAUSE", 0.5)
        cloudformation.statuses = [503]
        monkeypatch.setattr(migrate, "run", lambda *_: {})
        threads = threading.active_count()
        call(cloudformation.event(), seconds=migrate.SECONDS_TO_ANSWER + 0.2)
        assert [answer["Status"] for answer in cloudformation.answers] == ["SUCCESS"]
        assert threading.active_count() == threads

    def test_a_migration_that_hangs(
        self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        goes_on = threading.Event()
        monkeypatch.setattr(migrate, "run", lambda *_: goes_on.wait() and {})
        hanging = threading.Thread(target=call, args=[cloudformation.event(), 0])
        hanging.start()
        until(lambda: cloudformation.answers)
        goes_on.set()
        hanging.join()
        assert [answer["Status"] for answer in cloudformation.answers] == ["FAILED"]

    @pytest.mark.parametrize("error", [MemoryError(), SystemExit(1), KeyboardInterrupt()])
    def test_what_ends_a_process(
        self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch, error: BaseException
    ) -> None:
        def end(*_: object) -> None:
            raise error

        monkeypatch.setattr(migrate, "run", end)
        call(cloudformation.event())
        (answer,) = cloudformation.answers
        assert answer["Status"] == "FAILED"
        assert type(error).__name__ in answer["Reason"]


class TestAnswer:
    @pytest.mark.parametrize("reason", ["x", "é", '"', "\\", "\x00", "\n", "😀", "\ud800", '€\x01"'])
    @pytest.mark.parametrize("length", [1, 1_000, 5_000, 100_000])
    def test_fits(self, cloudformation: CloudFormation, reason: str, length: int) -> None:
        reason = (reason * length)[:length]
        ids = {"StackId": "ä" * 300, "PhysicalResourceId": '"' * 200}
        answering.answer(cloudformation.event(**ids), reason)
        (answer,) = cloudformation.answers
        assert answer | ids == answer
        told = answer["Reason"]
        assert told == reason.encode(errors="replace").decode()[: len(told)]
        assert len(told) == length or cloudformation.largest > 4096 - 6
        assert cloudformation.largest <= 4096

    def test_is_tried_again(self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(answering, "PAUSE", 0.01)
        cloudformation.statuses = [503, 500]
        answering.answer(cloudformation.event(), None)
        assert (len(cloudformation.answers), cloudformation.tries) == (1, 3)

    @pytest.mark.parametrize("status", [307, 400, 403])
    def test_a_refusal_is_the_end(self, cloudformation: CloudFormation, status: int) -> None:
        cloudformation.statuses = [status] * 9
        with pytest.raises(HTTPError) as refused:
            answering.answer(cloudformation.event(), None)
        refused.value.close()
        assert cloudformation.tries == 1

    def test_the_tries_have_one_deadline(
        self, cloudformation: CloudFormation, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name, seconds in {"SECONDS": 1, "SECONDS_A_TRY": 0.3, "PAUSE": 0.1}.items():
            monkeypatch.setattr(answering, name, seconds)
        with socket.create_server(("127.0.0.1", 0)) as silent:
            url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                answering.answer(cloudformation.event(ResponseURL=url), None)
        assert 0.7 < time.monotonic() - began < 1

    def test_there_is_time_for_it(self) -> None:
        assert answering.SECONDS == 30
        assert migrate.SECONDS_TO_ANSWER > answering.SECONDS


class TestValuesOfRows:
    """What is told of a failure is read by people who may not read the database."""

    @pytest.fixture(autouse=True)
    def table(self, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.checkout = copy_checkout(tmp_path)
        execute(database_url, "CREATE TABLE person (name text)", "INSERT INTO person VALUES ('Secretia')")
        monkeypatch.setattr("migrations.runner.__file__", str(self.checkout / "migrations/runner.py"))

    @pytest.mark.parametrize(
        ("sql", "told"),
        [
            (
                "ALTER TABLE person ADD CONSTRAINT short CHECK (length(name) < 3)",
                ["23514", "short", "person"],
            ),
            (
                "INSERT INTO person SELECT name FROM person; CREATE UNIQUE INDEX one ON person (name)",
                ["23505"],
            ),
            ("ALTER TABLE person ALTER COLUMN name TYPE integer USING name::integer", ["22P02", "integer"]),
            ("ALTER TABLE person ADD other text NOT NULL", ["23502", "other", "person"]),
            ("UPDATE person SET name = nobody(name)", ["42883", "You might need"]),
            (
                "DO $$ BEGIN RAISE 'No more' USING DETAIL = (TABLE person), HINT = 'Wait.'; END $$",
                ["P0001", "No more", "Wait."],
            ),
        ],
    )
    def test_are_not_told(
        self,
        cloudformation: CloudFormation,
        monkeypatch: pytest.MonkeyPatch,
        sql: str,
        told: list[str],
    ) -> None:
        add_migration(self.checkout, f"op.execute({sql!r})")
        stream = io.StringIO()
        monkeypatch.setattr(logger.registered_handler, "stream", stream)
        call(cloudformation.event())
        (answer,) = cloudformation.answers
        with pytest.raises(RuntimeError) as failed:
            call({"command": "upgrade"})
        assert failed.value.__suppress_context__
        for text in (answer["Reason"], str(failed.value)):
            assert all(part in text for part in told), text
        (log,) = (json.loads(line) for line in stream.getvalue().splitlines())
        assert log["level"] == "ERROR"
        assert (log["function"], log["function_request_id"]) == ("migrate", "lambda-1")
        assert "versions/new.py" in log["exception"]
        assert "Secretia" not in str([answer, failed.value, log])
