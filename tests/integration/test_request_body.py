"""How a body is read: what it may be called, what it must be, and what is said when it is not."""

import json
from typing import Any

import pytest

from tests.client import Answer, request

pytestmark = pytest.mark.usefixtures("connection")

VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
NO_ID = "00000000-0000-4000-8000-000000000000"


def create(body: str | None = None, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return request("POST", body=json.dumps(VALID) if body is None else body, headers=named)


class TestMediaType:
    @pytest.mark.parametrize(
        "media_type",
        [
            "application/json", "APPLICATION/JSON", " application/json ", "application/json;",
            "application/json ; ", "application/json;charset=utf-8", "application/json; charset=UTF-8",
            'application/json; charset="utf-8"', "application/json; charset=utf8",
            'application/json; Charset = "UTF8" ', "application/json; foo=bar",
            "application/json; q=1; charset=utf-8; b",
            "application/json; charset=utf-8; charset=utf-8",
        ],
    )  # fmt: skip
    def test_that_is_read(self, media_type: str) -> None:
        assert create(content_type=media_type).status == 201

    @pytest.mark.parametrize(
        "media_type",
        [
            "", "text/json", "application/jsonx", "application/json, application/json",
            ";application/json", "application/json; charset=iso-8859-1", "application/json; charset=",
            "application/json; charset", "application/json; charset='utf-8'",
            "application/json; charset=utf-16",
            "application/json; charset*=utf-8''utf-8", "application/json; charset*0=utf-8",
            "application/json; charset *=x", "application/json; charset=utf-8; charset=latin-1",
            "application/json; charset=latin-1; charset=utf-8", 'application/json; a=";"; charset=latin-1',
            "application/json; charset=utf-8-sig", "application/merge-patch+json",
            "application/json-patch+json",
        ],
    )  # fmt: skip
    def test_that_is_refused(self, media_type: str) -> None:
        answer = create(content_type=media_type)
        assert answer.status == 415
        assert answer.json["detail"] == "The body must be application/json in UTF-8."

    @pytest.mark.parametrize(("method", "status"), [("PATCH", 404), ("PUT", 415), ("POST", 415)])
    def test_a_merge_patch_is_for_patch(self, method: str, status: int) -> None:
        path = "" if method == "POST" else f"/{NO_ID}"
        for media_type in ("application/merge-patch+json", "Application/Merge-Patch+JSON; charset=utf-8"):
            assert request(method, path, body="{}", headers={"content-type": media_type}).status == status


class TestContentEncoding:
    @pytest.mark.parametrize("encoding", ["identity", " Identity ", ""])
    def test_that_is_none(self, encoding: str) -> None:
        assert create(content_encoding=encoding).status == 201

    @pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "identity, gzip", "x"])
    def test_that_is_named(self, encoding: str) -> None:
        answer = create(content_encoding=encoding)
        assert answer.status == 415
        sentence = f"Content-Encoding {encoding.lower()} is not read: send the body as it is."
        assert answer.json["detail"] == sentence

    def test_the_sentence_is_short_and_of_one_line(self) -> None:
        sentence = create(content_encoding="a\r\n\x1b[31m\u202e" + "x" * 9000).json["detail"]
        assert sentence.isprintable()
        assert len(sentence) < 110

    def test_is_ignored_where_there_is_no_body(self, bundle: dict[str, Any]) -> None:
        headers = {"content-encoding": "gzip"}
        assert request("POST", f"/{bundle['id']}/activate", headers=headers).status == 200
        assert request("GET", f"/{bundle['id']}", headers=headers).status == 200


class TestByteOrderMark:
    def test_is_skipped(self) -> None:
        assert create("\ufeff" + json.dumps(VALID)).status == 201

    @pytest.mark.parametrize("body", ["\ufeff", "\ufeff\ufeff{}", "{}\ufeff", "\ufeff []"])
    def test_is_no_body(self, body: str) -> None:
        assert create(body).status == 400


class TestNamesGivenTwice:
    @pytest.mark.parametrize(
        ("members", "pointers"),
        [
            ('"name": "a", "name": "Starter"', ["/name"]),
            ('"price": 1, "price": 1', ["/price"]),
            ('"price": "x", "price": "y", "price": null', ["/price"]),
            ('"n\\u0061me": "a"', ["/name"]),
            ('"colour": 1, "colour": 2', ["/colour"]),
            ('"is_active": "x", "name": "b"', ["/is_active", "/name"]),
            ('"x": {"a": {"b~/": 1, "b~/": 2}}', ["/x", "/x/a/b~0~1"]),
            ('"x": [1, [{"a": 1, "a": 1}]]', ["/x", "/x/1/0/a"]),
            ('"description": {"a": 1, "a": 1}', ["/description", "/description/a"]),
            ('"x": {"\\ud800": 1, "\\ud800": 2}', ["/x", "/x/?"]),
        ],
    )
    def test_are_named_with_all_else_that_is_wrong(self, members: str, pointers: list[str]) -> None:
        answer = create(f"{json.dumps(VALID)[:-1]}, {members}}}")
        assert answer.status == 400
        assert sorted(error["pointer"] for error in answer.json["errors"]) == pointers

    def test_are_explained(self) -> None:
        answer = request("PATCH", f"/{NO_ID}", body='{"token_amount": 1, "token_amount": 1}')
        entry = {"pointer": "/token_amount", "detail": "must be given only once", "code": "duplicate"}
        assert answer.json["errors"] == [entry]
        assert answer.json["detail"] == "token amount: must be given only once"

    def test_nothing_is_written(self, bundle: dict[str, Any]) -> None:
        assert request("PUT", f"/{bundle['id']}", body='{"name": "a", "name": "b"}').status == 400
        assert request("GET", f"/{bundle['id']}").bundle == bundle

    def test_the_same_name_in_two_objects_is_two_names(self) -> None:
        answer = create('{"name": {"a": {"a": 1}}, "token_amount": [{"b": 1}, {"b": 1}], "price": 1}')
        assert [error["code"] for error in answer.json["errors"]] == ["string_type", "int_type"]

    def test_answers_have_an_end(self) -> None:
        long = "\u00e9" * 15_000
        many = ", ".join(f'"{number}": 1, "{number}": 2' for number in range(1000))
        answer = create(f'{{"{long}": {{{many}}}}}')
        assert answer.status == 400
        assert len(answer.text) < 5 * 1024 * 1024
        assert 1 <= len(answer.json["errors"]) <= 100


class TestOrder:
    """403 · 413 · 415 · 400 · 404."""

    LARGE = " " * 65_537

    def test_of_what_is_wrong_with_a_body(self) -> None:
        def status(body: str, scope: str = "token-bundles:write", **headers: str) -> int:
            return request("PATCH", "/no-uuid", body=body, scope=scope, headers=headers).status

        gzip = {"content-encoding": "gzip"}
        form = {"content-type": "text/plain"}
        assert status(self.LARGE, "token-bundles:read", **gzip, **form) == 403
        assert status(self.LARGE, **gzip, **form) == 413
        assert status("{malformed", **gzip) == 415
        assert status("{malformed", **form) == 415
        assert status("{malformed") == 400
        assert status("", **gzip, **form) == 400
        assert status('{"price": "x"}') == 400
        assert status("{}") == 404
        assert status("{}", **{"if-match": "garbage"}) == 400

    @pytest.mark.parametrize(
        ("method", "path"),
        [("GET", ""), ("GET", "/history"), ("DELETE", ""), ("POST", "/activate"), ("POST", "/deactivate")],
    )
    def test_a_parameter_or_header_comes_before_the_id(self, method: str, path: str) -> None:
        path = f"/no-uuid{path}"
        assert request(method, path).status == 404
        assert request(method, path, query="a=1&a=2").status == 400
        if path.endswith("history"):
            assert request(method, path, query="page=0").status == 400
        else:
            assert request(method, path, headers={"if-match": "garbage"}).status == 400

    @pytest.mark.parametrize("method", ["GET", "POST"])
    def test_a_path_that_is_none_comes_before_the_body(self, method: str) -> None:
        answer = request(method, "/a/b", body=self.LARGE if method == "POST" else None, query="page=0")
        assert answer.status == 404
