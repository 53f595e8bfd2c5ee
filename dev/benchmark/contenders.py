"""Those who are compared, each called in this process with the same requests."""

import asyncio
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlencode

from dev.benchmark.limit import Limit
from tests.client import READ, TEMPLATE, WRITE, Context, event, handler_of

CLAIMS = {"sub": "benchmark", "scope": f"{READ} {WRITE}"}


@dataclass(frozen=True)
class Request:
    """What all of them are asked."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)


class Sample(NamedTuple):
    """How long one answer took, in seconds, and what it was."""

    wall: float
    cpu: float
    status: int
    body: str


class Contender(Protocol):
    """One of those who are compared."""

    name: str

    def ask(self, request: Request) -> Sample:
        """Answer one request; only the answering is timed."""


class Functions:
    """The functions of this project."""

    name = "ours"

    def __init__(self) -> None:
        """Find the functions, which are loaded when they are first asked."""
        sys.path.insert(0, str(TEMPLATE.code_folder))
        self.context = Context()

    def ask(self, request: Request) -> Sample:
        """Hand an event to the function of the route."""
        found = TEMPLATE.route(request.method, request.path)
        assert found  # noqa: S101 - a request of ours that is no route
        return _timed(handler_of(found[0].function.handler), _event(request), self.context)


class SpeedLimit:
    """The same without a framework."""

    name = "limit"

    def __init__(self, database_url: str) -> None:
        """Connect."""
        self.limit = Limit(database_url)

    def ask(self, request: Request) -> Sample:
        """Hand the same event to a bare function."""
        found = TEMPLATE.route(request.method, request.path)
        assert found  # noqa: S101 - as above
        return _timed(self.limit.functions[found[0].function.module], _event(request))


class Peer:
    """FastAPI, called over ASGI."""

    name = "peer"

    def __init__(self) -> None:
        """Import it, which connects when first asked."""
        from dev.benchmark.peer import app

        self.app = app
        self.runner = asyncio.Runner()

    def ask(self, request: Request) -> Sample:
        """Run one request through the application."""
        return self.runner.run(self._ask(request))

    async def _ask(self, request: Request) -> Sample:
        body = json.dumps(request.body).encode() if request.body is not None else b""
        headers = {"content-type": "application/json"} if body else {}
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": request.method,
            "path": request.path,
            "raw_path": request.path.encode(),
            "query_string": urlencode(request.query).encode(),
            "headers": [
                (name.lower().encode(), value.encode())
                for name, value in {**headers, **request.headers}.items()
            ],
            "claims": CLAIMS,
        }
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: dict[str, Any]) -> None:
            sent.append(message)

        wall, cpu = time.perf_counter(), time.process_time()
        await self.app(scope, receive, send)  # type: ignore[arg-type]
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
        return Sample(
            wall, cpu, sent[0]["status"], b"".join(part.get("body", b"") for part in sent[1:]).decode()
        )


def _event(request: Request) -> dict[str, Any]:
    body = json.dumps(request.body) if request.body is not None else None
    headers = {**({"content-type": "application/json"} if body else {}), **request.headers}
    return event(request.method, request.path, body=body, query=request.query, headers=headers, claims=CLAIMS)


def _timed(function: Callable[..., Any], *arguments: Any) -> Sample:
    wall, cpu = time.perf_counter(), time.process_time()
    answer = function(*arguments)
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return Sample(wall, cpu, answer["statusCode"], answer.get("body") or "")
