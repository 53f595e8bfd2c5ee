"""Translates between HTTP and API Gateway's payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote_to_bytes, urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from dev.gateway.authorizer import claim_texts, token_scopes
from dev.gateway.template import Route

ACCOUNT_ID = "123456789012"
API_ID = "local"

# Everything else, a body without a type and forms included, reaches a function as base64.
_TEXT_TYPES = {"application/json", "application/xml", "application/javascript"}
# What API Gateway says for itself, whatever a function answers.
_GATEWAY_HEADERS = ("access-control-", "connection", "content-length", "transfer-encoding")
# Lambda's limit for what a function answers: a hundred bytes more than for what it receives.
_MAX_ANSWER_BYTES = 6 * 1024 * 1024 + 100


class AnswerError(Exception):
    """A function's answer is none that API Gateway understands."""


@dataclass(frozen=True)
class Admitted:
    """A request that may reach its function, its route, and the claims of its token if it needs one."""

    request: Request
    request_id: str
    route: Route
    path_parameters: Mapping[str, str]
    claims: Mapping[str, Any] | None


def decoded_path(sent: bytes) -> str:
    """Decode a path as API Gateway does: twice, and after the first time up to a question mark.

    Raises ValueError for a percent sign without two hexadecimal digits.
    """
    return _decoded(_decoded(sent).partition(b"?")[0]).decode(errors="replace")


def _decoded(path: bytes) -> bytes:
    if re.search(rb"%(?![0-9A-Fa-f]{2})", path):
        raise ValueError(f"{path!r} has a percent sign that encodes nothing")
    return unquote_to_bytes(path)


def to_event(admitted: Admitted, body: bytes) -> dict[str, Any]:
    """Make the event that a function receives; like API Gateway, leave out what is empty."""
    scope = admitted.request.scope
    headers = joined(admitted.request.headers.items())
    cookies = headers.pop("cookie", "")
    query = scope["query_string"].decode(errors="replace")
    text = _text(body, headers.get("content-type", ""))
    optional = {
        "cookies": [cookie.strip() for cookie in cookies.split(";") if cookie.strip()],
        "queryStringParameters": joined(parse_qsl(query, keep_blank_values=True)),
        "pathParameters": {name: value for name, value in admitted.path_parameters.items() if value},
        "body": base64.b64encode(body).decode() if text is None else text,
    }
    return {
        "version": "2.0",
        "routeKey": admitted.route.key,
        "rawPath": scope["path"],
        "rawQueryString": query,
        "headers": _forwarded(headers, admitted.request),
        "requestContext": _request_context(admitted),
        **{name: value for name, value in optional.items() if value},
        "isBase64Encoded": bool(body) and text is None,
    }


def sample_event(
    route: Route,
    path: str,
    *,
    body: str = "",
    query: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    claims: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Make the event of a request that nobody sends; a body is JSON, unless the headers say otherwise."""
    content_type = {"content-type": "application/json"} if body else {}
    sent = {"host": "localhost", **content_type, **(headers or {})}
    scope = {
        "type": "http",
        "http_version": "1.1",
        "method": route.method,
        "scheme": "https",
        "path": path,
        "query_string": urlencode(query or {}).encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in sent.items()],
        "client": ("127.0.0.1", 0),
        "server": ("localhost", 443),
    }
    admitted = Admitted(Request(scope), "JKJaXmPLvHcESHA=", route, route.path_parameters(path) or {}, claims)
    return to_event(admitted, body.encode())


def to_response(answer: Any) -> Response:
    """Make the HTTP response of a function's answer; raises AnswerError.

    As in API Gateway, an answer without a status code is the JSON body of a 200.
    """
    try:
        answer = json.loads(_written(answer))
        if not isinstance(answer, dict) or "statusCode" not in answer:
            return JSONResponse(answer)
        return _response(answer)
    except (TypeError, ValueError, AttributeError) as error:
        raise AnswerError(f"API Gateway does not understand this answer: {error}") from error


def _request_context(admitted: Admitted) -> dict[str, Any]:
    request, route = admitted.request, admitted.route
    now = datetime.now(UTC)
    host = re.sub(r":\d+$", "", request.headers.get("host", ""))
    return {
        "accountId": ACCOUNT_ID,
        "apiId": API_ID,
        **({} if admitted.claims is None else {"authorizer": {"jwt": _jwt(admitted.claims, route)}}),
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.scope["path"],
            "protocol": f"HTTP/{request.scope['http_version']}",
            "sourceIp": _client(request),
            "userAgent": request.headers.get("user-agent", ""),
        },
        "requestId": admitted.request_id,
        "routeKey": route.key,
        "stage": "$default",
        "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
        "timeEpoch": int(now.timestamp() * 1000),
    }


def _jwt(claims: Mapping[str, Any], route: Route) -> dict[str, Any]:
    held = token_scopes(claims)
    return {
        "claims": claim_texts(claims),
        "scopes": [scope for scope in held if scope in route.scopes] or None,
    }


def _forwarded(headers: Mapping[str, str], request: Request) -> dict[str, str]:
    kept = {name: value for name, value in headers.items() if name != "connection"}
    server = request.scope.get("server") or ("", "")
    forwarded = {
        "x-amzn-trace-id": f"Root=1-{int(datetime.now(UTC).timestamp()):x}-{os.urandom(12).hex()}",
        **kept,
        "x-forwarded-for": ", ".join(filter(None, (kept.get("x-forwarded-for"), _client(request)))),
        "x-forwarded-port": str(server[1]),
        "x-forwarded-proto": request.scope["scheme"],
    }
    return dict(sorted(forwarded.items()))


def _client(request: Request) -> str:
    return request.client.host if request.client else ""


def joined(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Join the values that have the same name with commas, as payload 2.0 does."""
    joined: dict[str, str] = {}
    for name, value in pairs:
        joined[name] = f"{joined[name]},{value}" if name in joined else value
    return joined


def _text(body: bytes, content_type: str) -> str | None:
    media_type = content_type.partition(";")[0].strip().lower()
    if not media_type.startswith("text/") and media_type not in _TEXT_TYPES:
        return None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return None


def _written(answer: Any) -> str:
    written = json.dumps(answer, ensure_ascii=False)
    if len(written.encode()) > _MAX_ANSWER_BYTES:
        raise ValueError(f"it is larger than {_MAX_ANSWER_BYTES:,} bytes")
    return written


def _response(answer: Mapping[str, Any]) -> Response:
    status, body = answer["statusCode"], answer.get("body") or ""
    if type(status) is not int or not HTTPStatus.OK <= status <= 599:  # noqa: PLR2004
        raise ValueError(f"{status!r} is not a status code")
    content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    response = Response(content, status)
    for name, value in (answer.get("headers") or {}).items():
        if not name.lower().startswith(_GATEWAY_HEADERS):
            response.headers[name] = _header(value)
    for cookie in answer.get("cookies") or []:
        response.headers.append("set-cookie", _header(cookie))
    if content:
        response.headers.setdefault("content-type", "text/plain; charset=utf-8")
    return response


def _header(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    if isinstance(value, list | dict) or not text.isprintable():
        raise ValueError(f"{text!r} is not the value of a header")
    return text
