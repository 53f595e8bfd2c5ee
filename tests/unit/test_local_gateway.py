"""How the gateway calls functions, with functions that are made for it."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from dev.gateway.app import create_app
from dev.gateway.template import Function, Route, Template
from dev.gateway.throttle import Throttle, read_throttle
from dev.gateway.tokens import signing_key
from dev.local import UserError

FUNCTIONS = """
import threading, time

running = threading.Lock()

def echo(event, context):
    return {"statusCode": 200, "body": event["rawPath"], "headers": {"x-function": context.function_name}}

def context(event, context):
    return {
        "name": context.function_name,
        "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb,
        "left": context.get_remaining_time_in_millis(),
        "id": context.aws_request_id,
    }

def alone(event, context):
    if not running.acquire(blocking=False):
        raise RuntimeError("two at once")
    time.sleep(0.05)
    running.release()
    return "done"

def slow(event, context):
    time.sleep(0.5)

def fails(event, context):
    raise TimeoutError("the function's own")

def leaves(event, context):
    raise SystemExit(1)

def nonsense(event, context):
    return {"statusCode": "yes"}

def large(event, context):
    return "x" * 6_291_555
"""
NAMES = ("echo", "context", "alone", "slow", "fails", "leaves", "nonsense", "large", "missing")


@pytest.fixture
def timed_out() -> list[bool]:
    return []


MakeApp = Callable[..., Starlette]


@pytest.fixture
def make_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timed_out: list[bool]) -> MakeApp:
    monkeypatch.setenv("DEV_FOLDER", str(tmp_path / "state"))
    monkeypatch.syspath_prepend(tmp_path)
    module = f"functions_of_{tmp_path.name}"
    (tmp_path / f"{module}.py").write_text(FUNCTIONS)
    routes = tuple(
        Route("GET", f"/{name}", Function(name, f"{module}.{name}", 0.2, 256), scopes=(), authorized=False)
        for name in NAMES
    )
    template = Template(routes=routes, authorizer=None, cors=None, environment={}, code_folder=tmp_path)
    key = signing_key().public_key()
    return lambda **options: create_app(template, key, lambda: timed_out.append(True), **options)


@pytest.fixture
def app(make_app: MakeApp) -> Starlette:
    return make_app()


def get(
    app: Starlette,
    *paths: str,
    caller: str = "127.0.0.1",
    headers: dict[str, str] | None = None,
    content: bytes = b"",
) -> list[httpx.Response]:
    async def all_at_once() -> list[httpx.Response]:
        transport = httpx.ASGITransport(app, client=(caller, 50_000))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            requests = (client.request("GET", path, headers=headers, content=content) for path in paths)
            return list(await asyncio.gather(*requests))

    return asyncio.run(all_at_once())


def test_an_answer(app: Starlette) -> None:
    (answer,) = get(app, "/echo")

    assert (answer.status_code, answer.text, answer.headers["x-function"]) == (200, "/echo", "echo")


@pytest.mark.parametrize(
    "path", ["/nowhere", "/echo/", "/%0A", "/echo%0A", "/echo%0Aecho", "/.well-known/nothing"]
)
def test_a_path_without_a_route(app: Starlette, path: str) -> None:
    (answer,) = get(app, path)

    assert (answer.status_code, answer.json()) == (404, {"message": "Not Found"})


def test_the_token_in_the_docs_is_for_this_machine(app: Starlette) -> None:
    (here,), (elsewhere,) = get(app, "/docs"), get(app, "/docs", caller="192.0.2.1")

    assert here.status_code == elsewhere.status_code == 200
    assert 'token = "ey' in here.text
    assert 'token = ""' in elsewhere.text


def test_the_context_is_that_of_lambda(app: Starlette) -> None:
    context: dict[str, Any] = get(app, "/context")[0].json()

    assert context["arn"].endswith(":function:context")
    assert (context["name"], context["memory"]) == ("context", 256)
    assert 0 < context["left"] <= 200
    assert len(context["id"]) == 36


def test_one_call_at_a_time_while_the_keys_are_served(app: Starlette) -> None:
    answers = get(app, "/alone", "/alone", "/alone", "/.well-known/jwks.json")

    assert [answer.status_code for answer in answers] == [200] * 4


@pytest.mark.parametrize("path", ["/fails", "/leaves", "/nonsense", "/large", "/missing"])
def test_a_failure_is_logged_and_not_told(
    app: Starlette, caplog: pytest.LogCaptureFixture, timed_out: list[bool], path: str
) -> None:
    failed, answered = get(app, path, "/echo")

    assert (failed.status_code, failed.json()) == (500, {"message": "Internal Server Error"})
    assert answered.status_code == 200
    assert f"{path[1:]} failed" in caplog.text
    assert "Traceback" in caplog.text
    assert not timed_out


def test_a_function_that_takes_too_long(
    app: Starlette, caplog: pytest.LogCaptureFixture, timed_out: list[bool]
) -> None:
    late, waiting = get(app, "/slow", "/echo")

    assert (late.status_code, late.json()) == (500, {"message": "Internal Server Error"})
    assert waiting.status_code == 200
    assert timed_out == [True]
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "within 0.2 seconds" in caplog.text


def test_a_route_is_found_by_the_decoded_path(app: Starlette) -> None:
    answers = get(app, "/%65cho", "/%2565cho", "/echo%3Flost")

    assert [(answer.status_code, answer.text) for answer in answers] == [(200, "/echo")] * 3


@pytest.mark.parametrize(("excess", "status"), [(0, 200), (1, 431)])
@pytest.mark.parametrize("part", ["query", "headers"])
def test_a_head_of_more_than_10240_bytes(app: Starlette, part: str, excess: int, status: int) -> None:
    line, sent = b"GET /echo? HTTP/1.1", httpx.AsyncClient(base_url="http://localhost").headers
    room = 10_240 - len(line) - sum(map(len, sent.values())) - len("localhost") + excess
    query, value = ("q" * room, "") if part == "query" else ("", "v" * room)

    (answer,) = get(app, f"/echo?{query}", headers={"x-large": value})

    assert answer.status_code == status
    if excess:
        assert answer.json() == {"message": "Request Header Fields Too Large"}


@pytest.mark.parametrize(
    ("content", "status"),
    [(b"x" * 6_000_000, 200), (b"x" * 6_291_456, 413), (b'"' * 3_200_000, 413), (b"\xff" * 4_800_000, 413)],
    ids=["fits", "body", "escaped", "base64"],
)
def test_an_event_of_more_than_lambda_takes(app: Starlette, content: bytes, status: int) -> None:
    (answer,) = get(app, "/echo", content=content, headers={"content-type": "text/plain"})

    assert answer.status_code == status
    if status != 200:
        assert answer.json() == {"message": "Request Entity Too Large"}


class TestThrottle:
    def test_a_burst_and_what_comes_after_it(self, make_app: MakeApp) -> None:
        app = make_app(throttle=Throttle(rate=0, burst=2, concurrency=9))

        passed, too_many, nowhere = get(app, *["/echo"] * 2), get(app, "/echo"), get(app, "/nowhere")

        assert [answer.status_code for answer in (*passed, *too_many, *nowhere)] == [200, 200, 429, 404]
        assert too_many[0].json() == {"message": "Too Many Requests"}
        assert "retry-after" not in too_many[0].headers

    def test_the_burst_is_filled_again(self, monkeypatch: pytest.MonkeyPatch) -> None:
        moments = [100.0, 100.0, 100.0, 100.0, 100.25, 100.5, 100.75, 200.0, 200.0, 200.0, 200.0]
        clock = SimpleNamespace(monotonic=iter([100.0, *moments]).__next__)
        monkeypatch.setattr("dev.gateway.throttle.time", clock)
        throttle = Throttle(rate=2, burst=3, concurrency=9)

        taken = [throttle.takes_one_more() for _ in moments]

        assert taken == [True] * 3 + [False] * 2 + [True, False] + [True] * 3 + [False]

    def test_more_calls_of_a_function_than_it_takes_at_once(self, make_app: MakeApp) -> None:
        app = make_app(throttle=Throttle(rate=9, burst=9, concurrency=2))

        *alone, other = get(app, *["/alone"] * 3, "/echo")

        assert sorted(answer.status_code for answer in alone) == [200, 200, 503]
        (busy,) = (answer for answer in alone if answer.status_code == 503)
        assert busy.json() == {"message": "Service Unavailable"}
        assert other.status_code == 200
        assert get(app, "/alone")[0].status_code == 200

    def test_none_at_all_as_after_a_stop(self, make_app: MakeApp) -> None:
        app = make_app(throttle=Throttle(rate=9, burst=9, concurrency=0))

        assert get(app, "/echo")[0].status_code == 503

    def test_what_the_variable_says(self) -> None:
        throttle = read_throttle("10,20,5")

        assert throttle
        assert (throttle.rate, throttle.burst, throttle.concurrency) == (10, 20, 5)
        assert read_throttle("") is None

    @pytest.mark.parametrize(
        "text", ["10", "10,20", "10,20,5,1", "10,-1,5", "1.5,2,3", "a,b,c", "1,2,3\n", "9" * 9999]
    )
    def test_what_it_cannot_say(self, text: str) -> None:
        with pytest.raises(UserError, match="10,20,5"):
            read_throttle(text)
