"""The local gateway: an ASGI application that stands in for the HTTP API of the template."""

import asyncio
import base64
import json
import logging
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from types import SimpleNamespace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from dev.gateway import docs, tokens
from dev.gateway.authorizer import JwtAuthorizer, UnauthorizedError, token_scopes
from dev.gateway.events import ACCOUNT_ID, Admitted, decoded_path, to_event, to_response
from dev.gateway.template import Cors, Function, Template
from dev.gateway.throttle import Throttle

# Of the request line and the values of the headers.
MAX_HEAD_BYTES = 10_240
# Lambda's limit for what a function receives; API Gateway's own for a body is higher.
MAX_EVENT_BYTES = 6 * 1024 * 1024

logger = logging.getLogger(__name__)


def create_app(
    template: Template,
    key: rsa.RSAPublicKey,
    on_timeout: Callable[[], None] = lambda: None,
    throttle: Throttle | None = None,
) -> Starlette:
    """Make the application; `on_timeout` is called when a function did not end in time, and so never may."""
    keys = tokens.jwks(key)
    api = Starlette(
        routes=[
            Route("/.well-known/openid-configuration", _openid_configuration),
            Route("/.well-known/jwks.json", lambda _: JSONResponse(keys)),
        ],
        middleware=[Middleware(HttpApiCors, template.cors)] if template.cors else [],
    )
    # No other origin may read the token in the page: the allowed ones are for the API alone.
    app = Starlette(routes=docs.ROUTES)
    # For every other path; a mount at "/" leaves out those with a line feed.
    app.router.default = api
    api.router.default = HttpApi(template, key, Functions(on_timeout, throttle), throttle)
    app.router.redirect_slashes = api.router.redirect_slashes = False
    return app


def _openid_configuration(request: Request) -> Response:
    return JSONResponse(tokens.openid_configuration(str(request.base_url)))


def _context(function: Function) -> SimpleNamespace:
    """What Lambda tells a function about its invocation, which begins now."""
    deadline = time.monotonic() + function.timeout
    return SimpleNamespace(
        function_name=function.name,
        function_version="$LATEST",
        invoked_function_arn=f"arn:aws:lambda:local:{ACCOUNT_ID}:function:{function.name}",
        memory_limit_in_mb=function.memory,
        aws_request_id=str(uuid.uuid4()),
        log_group_name=f"/aws/lambda/{function.name}",
        log_stream_name="local",
        identity=None,
        client_context=None,
        get_remaining_time_in_millis=lambda: max(0, int((deadline - time.monotonic()) * 1000)),
    )


class FunctionTimeoutError(Exception):
    """A function did not end in time."""


class FunctionBusyError(Exception):
    """A function has as many calls as it takes at once."""


class RefusedError(Exception):
    """A request that no function is called for, and its answer."""

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> None:
        self.response = _message(status, headers)


class Functions:
    """Calls the functions as one Lambda environment does: one at a time, each within its time."""

    def __init__(self, on_timeout: Callable[[], None], throttle: Throttle | None) -> None:
        self.on_timeout = on_timeout
        self.most = throttle.concurrency if throttle else None
        self.calls: Counter[Function] = Counter()
        self.turn = asyncio.Lock()
        self.thread = ThreadPoolExecutor(max_workers=1)

    async def call(self, function: Function, event: Mapping[str, Any]) -> Any:
        """Return the function's answer; raises what it raises, FunctionBusyError and FunctionTimeoutError."""
        if self.calls[function] == self.most:
            raise FunctionBusyError
        self.calls[function] += 1
        try:
            return await self._call(function, event)
        finally:
            self.calls[function] -= 1

    async def _call(self, function: Function, event: Mapping[str, Any]) -> Any:
        run = asyncio.get_running_loop().run_in_executor
        async with self.turn:
            handler = await run(self.thread, function.load)
            answer = run(self.thread, handler, event, _context(function))
            await asyncio.wait({answer}, timeout=function.timeout)
            if not answer.done():
                # Those that wait for their turn would wait for ever.
                self.thread = ThreadPoolExecutor(max_workers=1)
                self.on_timeout()
                raise FunctionTimeoutError
            return answer.result()


class HttpApi:
    """Routes, authorizes and answers requests as API Gateway does."""

    def __init__(
        self, template: Template, key: rsa.RSAPublicKey, functions: Functions, throttle: Throttle | None
    ) -> None:
        self.template = template
        self.authorizer = JwtAuthorizer(template.authorizer, key) if template.authorizer else None
        self.functions = functions
        self.throttle = throttle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        # Of the form of API Gateway's own: 15 characters and an equals sign.
        request_id = base64.b64encode(os.urandom(11)).decode()
        try:
            response = await self._invoke(self._admit(Request(scope, receive), request_id))
        except RefusedError as refused:
            response = refused.response
        response.headers["apigw-requestid"] = request_id
        await response(scope, receive, send)

    def _admit(self, request: Request, request_id: str) -> Admitted:
        """Find out whose request it is, and for which route; raises RefusedError."""
        request = _read(request)
        found = self.template.route(request.method, request.scope["path"])
        if found is None:
            raise RefusedError(HTTPStatus.NOT_FOUND)
        if self.throttle and not self.throttle.takes_one_more():
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS)
        route, path_parameters = found
        claims = None
        if route.authorized and self.authorizer:
            try:
                claims = self.authorizer.claims(request.headers.get("authorization"))
            except UnauthorizedError as error:
                challenge = {"www-authenticate": _challenge(str(error))}
                raise RefusedError(HTTPStatus.UNAUTHORIZED, challenge) from error
            if route.scopes and not set(route.scopes).intersection(token_scopes(claims)):
                raise RefusedError(HTTPStatus.FORBIDDEN)
        return Admitted(request, request_id, route, path_parameters, claims)

    async def _invoke(self, admitted: Admitted) -> Response:
        function = admitted.route.function
        try:
            event = to_event(admitted, await _body(admitted.request))
            if len(json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()) > MAX_EVENT_BYTES:
                return _message(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, phrase="Request Entity Too Large")
            return to_response(await self.functions.call(function, event))
        except FunctionBusyError:
            return _message(HTTPStatus.SERVICE_UNAVAILABLE)
        except ClientDisconnect:
            logger.info("The caller of %s is gone", function.name)
        except asyncio.CancelledError:
            logger.warning("%s was stopped with this process", function.name)
        except FunctionTimeoutError:
            logger.error("%s did not end within %g seconds", function.name, function.timeout)  # noqa: TRY400
        except (Exception, SystemExit):  # whatever a function does, its caller gets the same answer
            logger.exception("%s failed", function.name)
        return _message(HTTPStatus.INTERNAL_SERVER_ERROR)


def _read(request: Request) -> Request:
    """Read a request's head as API Gateway does; raises RefusedError."""
    scope = request.scope
    line = b"%b %b?%b HTTP/1.1" % (scope["method"].encode(), scope["raw_path"], scope["query_string"])
    if len(line) + sum(len(value) for _, value in scope["headers"]) > MAX_HEAD_BYTES:
        raise RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
    try:
        path = decoded_path(scope["raw_path"])
    except ValueError as error:
        raise RefusedError(HTTPStatus.BAD_REQUEST) from error
    return Request({**scope, "path": path}, request.receive)


async def _body(request: Request) -> bytes:
    """Read the whole body, but keep no more of it than shows that it is too large."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk[: MAX_EVENT_BYTES + 1 - len(body)]
    return bytes(body)


def _message(status: HTTPStatus, headers: Mapping[str, str] | None = None, phrase: str = "") -> Response:
    return JSONResponse({"message": phrase or status.phrase}, status, headers)


def _challenge(reason: str) -> str:
    if not reason:
        return "Bearer"
    description = reason.replace('"', "'")
    return f'Bearer scope="" error="invalid_token" error_description="{description}"'


class HttpApiCors(CORSMiddleware):
    """CORS as API Gateway does it: a preflight is always a 204, and another origin gets no CORS headers."""

    def __init__(self, app: ASGIApp, cors: Cors) -> None:
        super().__init__(app, **cors.model_dump())
        # Starlette adds headers that need no permission.
        self.preflight_headers["Access-Control-Allow-Headers"] = ", ".join(cors.allow_headers)

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer a preflight request, whatever its path."""
        response = super().preflight_response(request_headers)
        granted = response.status_code == HTTPStatus.OK
        if not self.is_allowed_origin(request_headers["origin"]):
            _tell_refused(request_headers)
        headers = {
            name: value
            for name, value in response.headers.items()
            if name == "vary" or (granted and name.startswith("access-control-"))
        }
        return Response(status_code=HTTPStatus.NO_CONTENT, headers=headers)

    async def simple_response(
        self, scope: Scope, receive: Receive, send: Send, request_headers: Headers
    ) -> None:
        """Answer any other request."""
        if self.is_allowed_origin(request_headers.get("origin", "")):
            await super().simple_response(scope, receive, send, request_headers)
        else:
            _tell_refused(request_headers)
            await self.app(scope, receive, send)


def _tell_refused(headers: Headers) -> None:
    origin, host = headers.get("origin", ""), headers.get("host", "")
    # Browsers name it also where it is the gateway's own.
    if origin and origin.partition("://")[2] != host:
        shown = ascii(origin[:100])[1:-1]
        logger.warning("Pages of the origin %s may not call this: ALLOWED_ORIGINS says which may", shown)
