"""If-Match and If-None-Match."""

from typing import Any

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


def send(write: Write, bundle: dict[str, Any], if_match: str) -> Answer:
    method, path, body = write
    return request(method, f"/{bundle['id']}{path}", json_body=body, headers={"If-Match": if_match})


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
        assert answer.status == 412
        assert answer.json["title"] == "Precondition Failed"
        assert request("GET", f"/{changed['id']}").bundle == changed
        assert request("GET", f"/{changed['id']}/history").json["total"] == 2

    @pytest.mark.parametrize("tags", ["", "2", '"2', '"1" "2"', '*, "2"'])
    def test_that_is_no_list_of_tags(self, write: Write, changed: dict[str, Any], tags: str) -> None:
        answer = send(write, changed, tags)
        assert answer.status == 400
        sentence = "must be * or a list of entity tags"
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
