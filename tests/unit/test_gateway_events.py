"""Events and answers are those of API Gateway's payload format 2.0.

https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html
"""

import json
import re
from decimal import Decimal
from typing import Any

import pytest
from starlette.requests import Request

from dev.gateway.events import Admitted, AnswerError, decoded_path, to_event, to_response
from dev.gateway.template import Function, Route

FUNCTION = Function(name="Echo", handler="echo.handler", timeout=3, memory=128)
ROUTE = Route(method="POST", path="/my/{thing}", function=FUNCTION, scopes=("read", "write"), authorized=True)

TEXT = "text/plain; charset=utf-8"


def event(
    *,
    path: str = "/my/path",
    query: bytes = b"",
    headers: tuple[tuple[str, str], ...] = (),
    body: bytes = b"",
    claims: dict[str, Any] | None = None,
    route: Route = ROUTE,
) -> dict[str, Any]:
    request = Request(
        {
            "type": "http",
            "http_version": "1.1",
            "method": route.method,
            "scheme": "http",
            "path": path,
            "query_string": query,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers],
            "client": ("192.0.2.1", 50_000),
            "server": ("127.0.0.1", 3000),
        }
    )
    parameters = route.path_parameters(path)
    assert parameters is not None
    return to_event(Admitted(request, "JKJaXmPLvHcESHA=", route, parameters, claims), body)


class TestPath:
    """The first nine, and the first that is refused, were seen: docs/api-gateway.md says by whom."""

    @pytest.mark.parametrize(
        ("sent", "path"),
        [
            ("/plain", "/plain"),
            ("/space%20value", "/space value"),
            ("/question%3Fvalue", "/question"),
            ("/hash%23value", "/hash#value"),
            ("/slash%2Fvalue", "/slash/value"),
            ("/unicode-%CE%BB-%E4%B8%96%E7%95%8C", "/unicode-λ-世界"),
            ("/literal%252Fvalue", "/literal/value"),
            ("/literal%253Fvalue", "/literal?value"),
            ("/literal%2525value", "/literal%value"),
            ("/%25%32%46", "//"),
            ("/%25252F", "/%2F"),
            ("/%C3%25BC", "/ü"),
            ("/a+b;c=d", "/a+b;c=d"),
            ("//a/../b/", "//a/../b/"),
            ("/a%00b", "/a\0b"),
            ("/%ff", "/\ufffd"),
            ("/%3F%25", "/"),
            ("", ""),
        ],
    )
    def test_it_is_decoded_twice_and_cut_at_a_question_mark_in_between(self, sent: str, path: str) -> None:
        assert decoded_path(sent.encode()) == path

    @pytest.mark.parametrize("sent", ["/percent%25done", "/%", "/%2", "/%zz", "/%u0041", "/%25", "/%%32F"])
    def test_a_percent_sign_must_encode_something_both_times(self, sent: str) -> None:
        with pytest.raises(ValueError, match="encodes nothing"):
            decoded_path(sent.encode())


class TestEvent:
    def test_the_documented_example(self) -> None:
        made = event(
            query=b"parameter1=value1&parameter1=value2&parameter2=value",
            headers=(
                ("Host", "id.execute-api.us-east-1.amazonaws.com"),
                ("User-Agent", "agent"),
                ("Header1", "value1"),
                ("Header2", "value1"),
                ("Header2", "value2"),
                ("Cookie", "cookie1; cookie2"),
                ("Content-Type", "text/plain"),
                ("Connection", "keep-alive"),
            ),
            body=b"Hello from Lambda",
            claims={"claim1": "value1", "claim2": "value2", "scope": "read other"},
        )

        context = made["requestContext"]
        assert re.fullmatch(r"\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000", context.pop("time"))
        assert isinstance(context.pop("timeEpoch"), int)
        assert re.fullmatch(r"Root=1-[0-9a-f]{8}-[0-9a-f]{24}", made["headers"].pop("x-amzn-trace-id"))
        assert made == {
            "version": "2.0",
            "routeKey": "POST /my/{thing}",
            "rawPath": "/my/path",
            "rawQueryString": "parameter1=value1&parameter1=value2&parameter2=value",
            "cookies": ["cookie1", "cookie2"],
            "headers": {
                "host": "id.execute-api.us-east-1.amazonaws.com",
                "user-agent": "agent",
                "header1": "value1",
                "header2": "value1,value2",
                "content-type": "text/plain",
                "x-forwarded-for": "192.0.2.1",
                "x-forwarded-port": "3000",
                "x-forwarded-proto": "http",
            },
            "queryStringParameters": {"parameter1": "value1,value2", "parameter2": "value"},
            "requestContext": {
                "accountId": "123456789012",
                "apiId": "local",
                "authorizer": {
                    "jwt": {
                        "claims": {"claim1": "value1", "claim2": "value2", "scope": "read other"},
                        "scopes": ["read"],
                    }
                },
                "domainName": "id.execute-api.us-east-1.amazonaws.com",
                "domainPrefix": "id",
                "http": {
                    "method": "POST",
                    "path": "/my/path",
                    "protocol": "HTTP/1.1",
                    "sourceIp": "192.0.2.1",
                    "userAgent": "agent",
                },
                "requestId": "JKJaXmPLvHcESHA=",
                "routeKey": "POST /my/{thing}",
                "stage": "$default",
            },
            "body": "Hello from Lambda",
            "pathParameters": {"thing": "path"},
            "isBase64Encoded": False,
        }

    @pytest.mark.parametrize(("path", "template"), [("/my", "/my"), ("/my/", "/my/{proxy+}")])
    def test_what_is_empty_is_left_out(self, path: str, template: str) -> None:
        made = event(path=path, route=Route("GET", template, FUNCTION, scopes=(), authorized=False))

        assert not {"cookies", "queryStringParameters", "pathParameters", "body"} & made.keys()
        assert "authorizer" not in made["requestContext"]
        assert (made["rawQueryString"], made["isBase64Encoded"]) == ("", False)

    def test_the_query_is_kept_raw_and_decoded(self) -> None:
        made = event(query=b"q=a%20b+c%2Bd&empty=&name&u=%C3%BC")

        assert made["rawQueryString"] == "q=a%20b+c%2Bd&empty=&name&u=%C3%BC"
        assert made["queryStringParameters"] == {"q": "a b c+d", "empty": "", "name": "", "u": "ü"}

    @pytest.mark.parametrize(
        ("content_type", "body", "sent", "encoded"),
        [
            ("application/json; charset=utf-8", "grün".encode(), "grün", False),
            ("application/xml", b"<a/>", "<a/>", False),
            ("TEXT/csv", b"a,b", "a,b", False),
            ("", b"{}", "e30=", True),
            ("image/png", b"{}", "e30=", True),
            ("application/x-www-form-urlencoded", b"{}", "e30=", True),
            ("a/b+json", b"{}", "e30=", True),
            # What is no text is not passed off as one.
            ("application/json", b"\xff", "/w==", True),
        ],
    )
    def test_text_stays_text_and_anything_else_is_base64(
        self, content_type: str, body: bytes, sent: str, encoded: bool
    ) -> None:
        made = event(headers=(("Content-Type", content_type),) if content_type else (), body=body)

        assert (made["body"], made["isBase64Encoded"]) == (sent, encoded)

    def test_the_headers_are_in_the_order_of_their_names(self) -> None:
        sent = ("X-Last", "Host", "X-Forwarded-For", "Accept", "X-Last")

        made = list(event(headers=tuple((name, "value") for name in sent))["headers"])

        assert made == sorted(made)
        assert {"accept", "x-amzn-trace-id", "x-last"} < set(made)

    def test_a_header_that_is_no_ascii(self) -> None:
        assert (
            event(headers=(("X-Name", "Größe"),))["headers"]["x-name"].encode("latin-1").decode() == "Größe"
        )

    def test_a_forwarded_request_keeps_its_senders(self) -> None:
        made = event(headers=(("X-Forwarded-For", "203.0.113.9"), ("Host", "localhost:3000")))

        assert made["headers"]["x-forwarded-for"] == "203.0.113.9, 192.0.2.1"
        assert made["requestContext"]["http"]["sourceIp"] == "192.0.2.1"
        assert made["requestContext"]["domainName"] == "localhost"

    @pytest.mark.parametrize(
        ("claim", "text"),
        [
            ("text", "text"), (1787996002, "1787996002"), (True, "true"), (["a", "b"], "[a b]"), ([], "[]"),
            ({"a": 1}, '{"a": 1}'),
        ],
    )  # fmt: skip
    def test_claims_are_texts(self, claim: object, text: str) -> None:
        jwt = event(claims={"claim": claim, "nothing": None})["requestContext"]["authorizer"]["jwt"]

        assert jwt == {"claims": {"claim": text}, "scopes": None}

    @pytest.mark.parametrize("claims", [{"scope": "write x read"}, {"scp": ["write", "x", "read"]}])
    def test_scopes_are_those_of_the_route(self, claims: dict[str, Any]) -> None:
        assert event(claims=claims)["requestContext"]["authorizer"]["jwt"]["scopes"] == ["write", "read"]


class TestAnswer:
    def test_everything(self) -> None:
        response = to_response(
            {
                "statusCode": 201,
                "headers": {"Content-Type": "text/html", "X-Number": 5, "Access-Control-Allow-Origin": "*"},
                "cookies": ["a=1; Secure", "b=2"],
                "body": "<p>grün</p>",
            }
        )

        assert (response.status_code, response.body) == (201, "<p>grün</p>".encode())
        assert response.headers["content-type"] == "text/html"
        assert response.headers["x-number"] == "5"
        assert response.headers.getlist("set-cookie") == ["a=1; Secure", "b=2"]
        assert "access-control-allow-origin" not in response.headers

    @pytest.mark.parametrize(
        ("answer", "status", "body", "content_type"),
        [
            ({"statusCode": 200, "body": "AP8=", "isBase64Encoded": True}, 200, b"\x00\xff", TEXT),
            ({"statusCode": 200, "body": "x"}, 200, b"x", TEXT),
            ({"statusCode": 304, "headers": None, "body": None}, 304, b"", None),
            # Without a status code, it is the body.
            ({"a": 1}, 200, b'{"a":1}', "application/json"),
            ("text", 200, b'"text"', "application/json"),
            (None, 200, b"null", "application/json"),
        ],
    )
    def test_what_may_be_left_out(
        self, answer: object, status: int, body: bytes, content_type: str | None
    ) -> None:
        response = to_response(answer)

        assert (response.status_code, response.body) == (status, body)
        assert response.headers.get("content-type") == content_type

    @pytest.mark.parametrize(
        "wrong",
        [
            {"statusCode": "200"}, {"statusCode": True}, {"statusCode": 99}, {"price": Decimal("1.0")},
            {"body": {"a": 1}}, {"body": "\ud800"}, {"body": "?", "isBase64Encoded": True},
            {"headers": ["a"]}, {"headers": {"a": ["b"]}}, {"headers": {"a": "b\r\nc: d"}},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_is_no_answer(self, wrong: dict[str, Any]) -> None:
        with pytest.raises(AnswerError, match="does not understand"):
            to_response({"statusCode": 200} | wrong)

    def test_more_than_lambda_lets_a_function_answer(self) -> None:
        around = len(json.dumps({"statusCode": 200, "body": ""}))
        most = "ü" * ((6 * 1024 * 1024 + 100 - around) // 2)

        assert to_response({"statusCode": 200, "body": most}).status_code == 200
        with pytest.raises(AnswerError, match="larger than 6,291,556 bytes"):
            to_response({"statusCode": 200, "body": most + "ü"})
