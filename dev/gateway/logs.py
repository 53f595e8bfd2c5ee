"""Logs for the person at the terminal: lines, where a deployed function writes JSON."""

import http.client
import json
import logging
import re
import time
import traceback
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dev.local import ROOT

_IN_THE_LINE = {"timestamp", "level", "message", "exception"}
_FOR_MACHINES = {"exception_name", "function", "function_request_id", "location", "service", "taskName"}
_LONGEST_REASON = 300

logger = logging.getLogger(__name__)


class LineFormatter(LambdaPowertoolsFormatter):
    """Writes an entry as a line with its details at the end, and a traceback as Python does."""

    def __init__(self) -> None:
        super().__init__(datefmt="%H:%M:%S", serialize_stacktrace=False)

    def serialize(self, log: dict[str, Any]) -> str:  # type: ignore[override] # typed too narrowly
        """Write what would become an object of JSON."""
        details = (
            f"{name}={value}" for name, value in log.items() if name not in _IN_THE_LINE | _FOR_MACHINES
        )
        line = " ".join([log["timestamp"], f"{log['level']:<7}", str(log["message"]), *details])
        return "\n".join(filter(None, [line, log.get("exception")]))

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that `logging` knows
        """Write a traceback of our own code and where it ended; with LOG_LEVEL=DEBUG all of it."""
        told = traceback.TracebackException(*ei)
        cause: traceback.TracebackException | None = told
        while cause and not logger.isEnabledFor(logging.DEBUG):
            ours = [frame for frame in cause.stack[:-1] if _is_ours(frame.filename)]
            cause.stack = traceback.StackSummary.from_list([*ours, *cause.stack[-1:]])
            cause = cause.__cause__ or cause.__context__
        return "".join(told.format()).rstrip()


class RequestLog:
    """Says of each request how it was answered, why it was refused, and how long that took."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        # The issuer's keys are what machines ask for, such as the one that waits for the start.
        if scope["type"] != "http" or scope["path"].startswith("/.well-known/"):
            await self.app(scope, receive, send)
            return
        began = time.monotonic()
        status, headers, body = 0, Headers(), b""

        async def noting(message: Message) -> None:
            nonlocal status, headers, body
            if message["type"] == "http.response.start":
                status, headers = message["status"], Headers(raw=message["headers"])
            elif status >= HTTPStatus.BAD_REQUEST:
                body += message.get("body", b"")
            await send(message)

        try:
            await self.app(scope, receive, noting)
        finally:
            level = logging.ERROR if status >= HTTPStatus.INTERNAL_SERVER_ERROR else logging.INFO
            request, milliseconds = f"{scope['method']} {_target(scope)}", (time.monotonic() - began) * 1000
            logger.log(
                level, "%s → %s, %.0f ms", request, _answer(status, headers, body) or "gone", milliseconds
            )


def _is_ours(file: str) -> bool:
    return Path(file).is_relative_to(ROOT) and "site-packages" not in file


def _target(scope: Scope) -> str:
    query = quote(scope["query_string"], safe="%&=+,:-")
    return quote(scope["path"]) + (f"?{query}" if query else "")


def _answer(status: int, headers: Headers, body: bytes) -> str:
    if status < HTTPStatus.BAD_REQUEST:
        return str(status or "")
    request_id = headers.get("apigw-requestid")
    reason = _reason(headers, body) or http.client.responses.get(status)
    return " ".join(filter(None, [str(status), reason, request_id and f"(request {request_id})"]))


def _reason(headers: Headers, body: bytes) -> str:
    challenge = re.search('error_description="(.+)"', headers.get("www-authenticate", ""))
    reason = (challenge[1] if challenge else _told(body))[:_LONGEST_REASON].rstrip(".")
    # It may have names that the caller made up, which must not look like lines of this log.
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in reason)


def _told(body: bytes) -> str:
    with suppress(ValueError):
        match json.loads(body):
            case {"error": str(reason)} | {"message": str(reason)}:
                return reason
    return ""


def configuration(level: str) -> dict[str, Any]:
    """The configuration of `logging` for everything but the functions."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"lines": {"()": LineFormatter}},
        "handlers": {"terminal": {"class": "logging.StreamHandler", "formatter": "lines"}},
        "loggers": {"dev": {"level": level}},
        "root": {"handlers": ["terminal"], "level": "WARNING"},
    }


def make_functions_log_lines() -> None:
    """Have lines instead of JSON from the functions that are loaded."""
    for function_logger in logging.root.manager.loggerDict.values():
        for handler in getattr(function_logger, "handlers", ()):
            if isinstance(handler.formatter, LambdaPowertoolsFormatter):
                handler.setFormatter(LineFormatter())
                # The line on the request says that already.
                handler.addFilter(lambda record: record.msg != "answered")
