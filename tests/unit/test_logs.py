"""The lines of the development log."""

import asyncio
import json
import logging
import re
import sys

import httpx
import pytest
from starlette.responses import JSONResponse, PlainTextResponse, Response

from dev.gateway import logs


def entry(message: str, **details: object) -> logging.LogRecord:
    record = logging.LogRecord("name", logging.WARNING, __file__, 1, message, (), None)
    record.__dict__.update(details)
    return record


def test_a_line_has_time_level_message_and_details() -> None:
    line = logs.LineFormatter().format(entry("halted", request_id="abc", taskName="Task-1", function="halt"))

    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING halted request_id=abc", line)


def failure() -> logging.LogRecord:
    try:
        try:
            json.loads("nonsense")
        except ValueError as error:
            raise TypeError("worse") from error
    except TypeError:
        return entry("failed", exc_info=sys.exc_info())
    raise AssertionError


@pytest.mark.parametrize(
    ("level", "functions"),
    [
        (logging.INFO, ["failure", "raw_decode", "failure"]),
        (logging.DEBUG, ["failure", "loads", "decode", "raw_decode", "failure"]),
    ],
)
def test_a_traceback_is_of_our_own_code(
    caplog: pytest.LogCaptureFixture, level: int, functions: list[str]
) -> None:
    with caplog.at_level(level, logs.logger.name):
        line, *traceback = logs.LineFormatter().format(failure()).splitlines()

    assert line.endswith("failed")
    shown = [re.search(r", in (\w+)$", line) for line in traceback]
    assert [match[1] for match in shown if match] == functions
    assert traceback[-1] == "TypeError: worse"


ID = {"apigw-requestid": "JKJaXmPLvHcESHA="}
EXPIRED = 'Bearer scope="" error="invalid_token" error_description="the signature has expired"'


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (JSONResponse({"error": "not for the terminal"}, 200, ID), "200"),
        (
            JSONResponse({"error": "price: must have at most 2 decimals", "status": 400}, 400, ID),
            "400 price: must have at most 2 decimals (request JKJaXmPLvHcESHA=)",
        ),
        (JSONResponse({"message": "Forbidden"}, 403, ID), "403 Forbidden (request JKJaXmPLvHcESHA=)"),
        (
            JSONResponse({"message": "Unauthorized"}, 401, ID | {"www-authenticate": EXPIRED}),
            "401 the signature has expired (request JKJaXmPLvHcESHA=)",
        ),
        (JSONResponse({"error": "It is over."}, 503, ID), "503 It is over (request JKJaXmPLvHcESHA=)"),
        (PlainTextResponse("Not here", 404), "404 Not Found"),
        (JSONResponse(["what?"], 412), "412 Precondition Failed"),
        (JSONResponse({"error": {"code": 7}}, 429), "429 Too Many Requests"),
        (Response(status_code=499), "499"),
        (
            Response(json.dumps({"error": "ä\n\x1b[31m\ud800: no field"}), 400),
            r"400 ä\n\x1b[31m\ud800: no field",
        ),
        (JSONResponse({"error": "a" * 65_536}, 400), "400 " + "a" * 300),
    ],
)
def test_a_refusal_says_its_reason_and_the_request(
    caplog: pytest.LogCaptureFixture, response: Response, expected: str
) -> None:
    async def ask() -> None:
        transport = httpx.ASGITransport(logs.RequestLog(response))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            await client.get("/things")

    with caplog.at_level(logging.INFO, logs.logger.name):
        asyncio.run(ask())

    (line,) = caplog.messages
    assert re.sub(r", \d+ ms$", "", line) == f"GET /things → {expected}"
