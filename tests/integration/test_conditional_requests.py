"""If-Match and If-None-Match."""

from typing import Any
from uuid import uuid4

import pytest

from tests.client import Answer, request

Write = tuple[str, str, Any]
WRITES: dict[str, Write] = {
    "PUT": ("PUT", "", {"name": "Changed"}),
    "PATCH": ("PATCH", "", {"name": "Changed"}),
    "activate": ("POST", "/activate", None),
    "deactivate": ("POST", "/deactivate", None),
    "DELETE": ("DELETE", "", None),
}


@pytest.fixture(params=WRITES)
def write(request: pytest.FixtureRequest) -> Write:
    return WRITES[request.param]


def send(write: Write, bundle: dict[str, Any], if_match: str | None = None, **headers: str) -> Answer:
    method, path, body = write
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if if_match is not None:
        sent["If-Match"] = if_match
    return request(method, f"/{bundle['id']}{path}", json_body=body, headers=sent)


def assert_refused(answer: Answer, bundle: dict[str, Any], about: str) -> None:
    """Check that nothing is written, and what the sentence is about."""
    assert answer.status == 412
    assert about in answer.json["detail"]
    assert request("GET", f"/{bundle['id']}").bundle == bundle
    assert request("GET", f"/{bundle['id']}/history").json["total"] == bundle["version"]


@pytest.fixture
def changed(bundle: dict[str, Any]) -> dict[str, Any]:
    """A bundle of version 2."""
    return request("PATCH", f"/{bundle['id']}", json_body={"description": "second version"}).bundle


class TestIfMatch:
    @pytest.mark.parametrize("tags", ['"2"', " * ", ' ,"x","2",, ', 'W/"1", "2"', '"a,b", "2"'])
    def test_that_fits(self, write: Write, changed: dict[str, Any], tags: str) -> None:
        answer = send(write, changed, tags)
        assert answer.status == 200, answer.text
        after = request("GET", f"/{changed['id']}")
        assert after.status == (404 if write[0] == "DELETE" else 200)
        if write[0] != "DELETE":
            assert after.headers["etag"] == answer.headers["etag"]

    @pytest.mark.parametrize("tags", ['"1"', 'W/"2"', '"x", W/"2"', '"02"'])
    def test_that_does_not_fit(self, write: Write, changed: dict[str, Any], tags: str) -> None:
        answer = send(write, changed, tags)
        assert_refused(answer, changed, "weakened" if "W/" in tags else "changed since it was read")
        assert answer.json["title"] == "Precondition Failed"

    @pytest.mark.parametrize("tags", ["", "2", '"2', '"1" "2"', '*, "2"'])
    def test_that_is_no_list_of_tags(self, write: Write, changed: dict[str, Any], tags: str) -> None:
        answer = send(write, changed, tags)
        assert answer.status == 400
        sentence = 'must be an ETag such as "3", with the quotation marks, several with commas, or *'
        assert answer.json["errors"] == [{"header": "If-Match", "detail": sentence, "code": "entity_tags"}]
        assert request("GET", f"/{changed['id']}").bundle == changed

    def test_the_answer_to_a_write_has_the_next_tag(self, bundle: dict[str, Any]) -> None:
        tag = '"1"'
        for name in ("a", "b", "b", "c"):
            headers = {"if-match": tag}
            answer = request("PATCH", f"/{bundle['id']}", json_body={"name": name}, headers=headers)
            assert answer.status == 200
            tag = answer.headers["etag"]
        assert answer.bundle["version"] == 4

    def test_comes_before_a_change_that_changes_nothing(self, changed: dict[str, Any]) -> None:
        answer = request("PATCH", f"/{changed['id']}", json_body={}, headers={"if-match": '"1"'})
        assert answer.status == 412


class TestIfMatchOfARead:
    @pytest.mark.parametrize("tags", ['"2"', " * ", '"x", "2"', 'W/"1", "2"'])
    def test_that_fits(self, changed: dict[str, Any], tags: str) -> None:
        answer = request("GET", f"/{changed['id']}", headers={"If-Match": tags})
        assert answer.status == 200
        assert answer.bundle == changed

    @pytest.mark.parametrize(("tags", "about"), [('"1"', "changed since it was read"), ('W/"2"', "weakened")])
    def test_that_does_not_fit(self, changed: dict[str, Any], tags: str, about: str) -> None:
        headers = {"If-Match": tags, "If-None-Match": "*"}
        answer = request("GET", f"/{changed['id']}", headers=headers)
        assert answer.status == 412
        assert about in answer.json["detail"]
        assert "etag" not in answer.headers

    def test_comes_before_if_none_match(self, changed: dict[str, Any]) -> None:
        headers = {"If-Match": '"2"', "If-None-Match": '"2"'}
        assert request("GET", f"/{changed['id']}", headers=headers).status == 304

    def test_that_is_no_list_of_tags(self, changed: dict[str, Any]) -> None:
        answer = request("GET", f"/{changed['id']}", headers={"If-Match": "2"})
        assert answer.status == 400
        assert answer.json["errors"][0]["header"] == "If-Match"

    @pytest.mark.usefixtures("connection")
    def test_of_what_does_not_exist(self) -> None:
        assert request("GET", f"/{uuid4()}", headers={"If-Match": '"1"'}).status == 404


class TestIfNoneMatchOfAWrite:
    @pytest.mark.parametrize("tags", ['"2"', 'W/"2"', '"1", W/"2"', "*", " * "])
    def test_current(self, write: Write, changed: dict[str, Any], tags: str) -> None:
        answer = send(write, changed, If_None_Match=tags)
        assert_refused(answer, changed, "If-None-Match")

    @pytest.mark.parametrize("tags", ['"1"', '"1", W/"3"', '"2W/"', '"x"'])
    def test_not_current(self, write: Write, changed: dict[str, Any], tags: str) -> None:
        assert send(write, changed, If_None_Match=tags).status == 200

    @pytest.mark.parametrize("tags", ["", "2", '*, "2"'])
    def test_that_is_no_list_of_tags(self, write: Write, changed: dict[str, Any], tags: str) -> None:
        answer = send(write, changed, If_None_Match=tags)
        assert answer.status == 400
        sentence = 'must be an ETag such as "3", with the quotation marks, several with commas, or *'
        error = {"header": "If-None-Match", "detail": sentence, "code": "entity_tags"}
        assert answer.json["errors"] == [error]
        assert request("GET", f"/{changed['id']}").bundle == changed

    def test_comes_after_if_match(self, write: Write, changed: dict[str, Any]) -> None:
        assert_refused(send(write, changed, '"1"', If_None_Match='"2"'), changed, "changed since it was read")
        assert_refused(send(write, changed, '"2"', If_None_Match='"2"'), changed, "If-None-Match")
        assert_refused(send(write, changed, "*", If_None_Match="*"), changed, "If-None-Match")
        assert send(write, changed, '"2"', If_None_Match='"1"').status == 200

    def test_is_nothing_to_a_creation(self, changed: dict[str, Any]) -> None:
        body = {name: changed[name] for name in ("name", "token_amount", "price")}
        assert request("POST", json_body=body, headers={"If-None-Match": "*"}).status == 201


class TestIfNoneMatch:
    @pytest.mark.parametrize("tags", ['"2"', 'W/"2"', '"1", "2"', "*", ' "2" '])
    def test_current(self, changed: dict[str, Any], tags: str) -> None:
        answer = request("GET", f"/{changed['id']}", headers={"If-None-Match": tags})
        assert (answer.status, answer.text) == (304, "")
        assert answer.headers["etag"] == '"2"'

    @pytest.mark.parametrize("tags", ['"1"', '"1", W/"3"', "2"])
    def test_not_current(self, changed: dict[str, Any], tags: str) -> None:
        answer = request("GET", f"/{changed['id']}", headers={"If-None-Match": tags})
        assert answer.status == 200
        assert answer.bundle == changed
