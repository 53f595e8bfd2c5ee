"""PATCH …/token-bundles: many at once, all or none."""

from typing import Any

import pytest
import sqlalchemy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.client import Answer, request
from tests.conftest import use_settings

NEW = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
NO_ID = "00000000-0000-4000-8000-000000000000"


def update(*bundles: Any, **options: Any) -> Answer:
    return request("PATCH", json_body={"bundles": bundles}, **options)


def errors_of(answer: Answer) -> list[tuple[str, str]]:
    return [(error.get("pointer"), error["code"]) for error in answer.json["errors"]]


def listed(*bundles: dict[str, Any]) -> list[dict[str, Any]]:
    return [request("GET", f"/{bundle['id']}").bundle for bundle in bundles]


@pytest.fixture
def bundles(connection: sqlalchemy.Connection) -> list[dict[str, Any]]:  # noqa: ARG001
    return [request("POST", json_body=NEW | {"code": code}).bundle for code in "abc"]


class TestAccess:
    def test_nobody(self, bundles: list[dict[str, Any]]) -> None:
        assert update({"id": bundles[0]["id"], "price": 1}, scope=None).status == 401
        assert update({"id": bundles[0]["id"], "price": 1}, scope="token-bundles:read").status == 403


class TestChange:
    def test_is_answered_in_the_order_asked_for(self, bundles: list[dict[str, Any]]) -> None:
        a, b, c = bundles
        answer = update(
            {"id": c["id"].upper(), "price": "1"},
            {"id": a["id"], "sort_order": 7, "version": 1},
            {**b, "name": b["name"]},
            query={"reason": "autumn"},
        )
        assert answer.status == 200
        assert answer.json["bundles"] == listed(c, a, b)
        assert [bundle["version"] for bundle in answer.json["bundles"]] == [2, 2, 1]
        for bundle, number in ((a, 2), (b, 1), (c, 2)):
            history = request("GET", f"/{bundle['id']}/history").json
            assert history["total"] == number
            if number == 2:
                newest = history["items"][0]
                assert (newest["action"], newest["reason"]) == ("updated", "autumn")

    def test_has_one_request_id(self, bundles: list[dict[str, Any]]) -> None:
        update(*({"id": bundle["id"], "price": 1} for bundle in bundles))
        feed = request("GET", "/history", query={"action": "updated"}).json["items"]
        assert len(feed) == 3
        assert len({entry["request_id"] for entry in feed}) == 1

    def test_a_hundred_at_most(self, connection: sqlalchemy.Connection) -> None:
        many = [request("POST", json_body=NEW).bundle for _ in range(100)]
        changes = [{"id": bundle["id"], "sort_order": place} for place, bundle in enumerate(many)]
        answer = update(*changes)
        assert [bundle["sort_order"] for bundle in answer.json["bundles"]] == list(range(100))
        assert errors_of(update(*changes, {"id": NO_ID, "price": 1})) == [("/bundles", "too_long")]

    def test_a_code_may_go_from_one_to_another_in_two_steps(self, bundles: list[dict[str, Any]]) -> None:
        a, b, _ = (bundle["id"] for bundle in bundles)
        assert errors_of(update({"id": a, "code": "z"}, {"id": b, "code": "a"})) == [
            ("/bundles/1/code", "code_taken")
        ]
        assert update({"id": a, "code": "z"}).status == 200
        assert update({"id": b, "code": "a"}).status == 200

    def test_an_own_code_is_not_taken(self, bundles: list[dict[str, Any]]) -> None:
        assert update(*({"id": bundle["id"], "code": bundle["code"]} for bundle in bundles)).status == 200

    def test_without_codes_none_is_taken(self, bundles: list[dict[str, Any]]) -> None:
        assert update(*({"id": bundle["id"], "code": None} for bundle in bundles)).status == 200


class TestRefusal:
    def test_by_the_present_state_names_every_entry(self, bundles: list[dict[str, Any]]) -> None:
        a, b, c = bundles
        before = listed(*bundles)
        answer = update(
            {"id": a["id"], "price": 1, "version": 9},
            {"id": NO_ID, "price": 1},
            {"id": b["id"], "code": "c"},
            {"id": c["id"], "price": 1},
        )
        assert answer.status == 409
        assert errors_of(answer) == [
            ("/bundles/0/version", "changed_meanwhile"), ("/bundles/1/id", "not_found"),
            ("/bundles/2/code", "code_taken"),
        ]  # fmt: skip
        assert answer.json["errors"][0]["current_version"] == 1
        assert listed(*bundles) == before

    @pytest.mark.parametrize(
        ("codes", "named"),
        [
            # They cross, and each is another's when the request begins.
            (["b", "a", "c"], [0, 1]), (["b", "c", "a"], [0, 1, 2]), (["new", "new", "c"], [1]),
            (["new", "new", "new"], [1, 2]), (["a", "a", "c"], [1]), (["b", "b", "c"], [0, 1]),
        ],
    )  # fmt: skip
    def test_by_codes_names_every_entry_that_meets_one(
        self, bundles: list[dict[str, Any]], codes: list[str], named: list[int]
    ) -> None:
        changes = ({"id": one["id"], "code": code} for one, code in zip(bundles, codes, strict=True))
        assert errors_of(update(*changes)) == [(f"/bundles/{place}/code", "code_taken") for place in named]
        assert listed(*bundles) == bundles

    def test_names_all_wrong_fields_of_all_entries(self, bundles: list[dict[str, Any]]) -> None:
        a, b, c = (bundle["id"] for bundle in bundles)
        answer = update(
            {"id": a, "price": -1, "colour": 1},
            {"id": a.upper(), "name": ""},
            {"price": 1},
            {"id": "x", "price": 1},
            {"id": b},
            {"id": c, "version": 1, "currency": "EUR"},
            7,
            {"id": NO_ID, "metadata": {"a b": "x"}},
        )
        assert answer.status == 400
        assert errors_of(answer) == [
            ("/bundles/0/price", "greater_than_equal"), ("/bundles/0/colour", "extra_forbidden"),
            ("/bundles/1/id", "duplicate"), ("/bundles/1/name", "string_too_short"),
            ("/bundles/2/id", "missing"), ("/bundles/3/id", "id_invalid"), ("/bundles/4", "no_change"),
            ("/bundles/5", "no_change"), ("/bundles/6", "model_type"),
            ("/bundles/7/metadata/a b", "string_pattern_mismatch"),
        ]  # fmt: skip
        assert answer.json["detail"].startswith("bundle 1 price: must be 0 or more; bundle 1 colour: is not")

    @pytest.mark.parametrize(
        "body", [{}, {"bundles": []}, {"bundles": None}, {"bundles": {}}, {"bundles": "x"}]
    )
    def test_of_a_body_without_entries(self, connection: object, body: object) -> None:
        answer = request("PATCH", json_body=body)
        assert (answer.status, answer.json["errors"][0]["pointer"]) == (400, "/bundles")

    @pytest.mark.parametrize("header", ["If-Match", "Idempotency-Key"])
    def test_of_headers_for_one(self, bundles: list[dict[str, Any]], header: str) -> None:
        answer = update({"id": bundles[0]["id"], "price": 1}, headers={header: '"1"'})
        assert answer.status == 400
        assert [error["header"] for error in answer.json["errors"]] == [header]
        assert listed(bundles[0]) == bundles[:1]

    def test_if_none_match_is_ignored(self, bundles: list[dict[str, Any]]) -> None:
        assert update({"id": bundles[0]["id"], "price": 1}, headers={"if-none-match": "*"}).status == 200

    def test_of_a_body_of_more_than_a_mebibyte(self, bundles: list[dict[str, Any]]) -> None:
        entry = {"id": bundles[0]["id"], "description": "x"}
        body = f'{{"bundles": [{entry}]}}'.replace("'", '"')
        assert request("PATCH", body=body.ljust(1024 * 1024)).status == 200
        answer = request("PATCH", body=body.ljust(1024 * 1024 + 1))
        assert (answer.status, answer.json["detail"]) == (413, "The body must have at most 1,024 KiB.")

    def test_without_a_version_where_one_is_demanded(self, bundles: list[dict[str, Any]]) -> None:
        a, b, _ = (bundle["id"] for bundle in bundles)
        with use_settings(REQUIRE_IF_MATCH="true"):
            assert update({"id": a, "price": 1, "version": 1}, {"id": b, "price": 1}).status == 428
            assert (
                update({"id": a, "price": 1, "version": 1}, {"id": b, "price": 1, "version": 1}).status == 200
            )


CODES = st.sampled_from([None, "a", "b", "c", "d", "e"])
CHANGES = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["Starter", "Other"]), "price": st.sampled_from(["9.90", "1.00"]),
        "is_active": st.booleans(), "metadata": st.sampled_from([{}, {"a": "1"}]),
        "version": st.sampled_from([1, 2]), "code": CODES,
    },
).filter(lambda change: change.keys() - {"version"})  # fmt: skip
BATCHES = st.lists(
    st.tuples(st.integers(0, 3), CHANGES), min_size=1, max_size=4, unique_by=lambda one: one[0]
)


@given(batch=BATCHES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_many_at_once_are_what_they_are_one_by_one(
    connection: sqlalchemy.Connection, batch: list[tuple[int, dict[str, Any]]]
) -> None:
    with connection.begin_nested() as unchanged:
        ids = [request("POST", json_body=NEW | {"code": code}).bundle["id"] for code in "abc"]
        ids.append(NO_ID)
        changes = [{"id": ids[place], **change} for place, change in batch]

        with connection.begin_nested() as before:
            alone = [request("PATCH", f"/{one['id']}", json_body=one) for one in changes]
            one_by_one = [request("GET", f"/{bundle_id}/history").json for bundle_id in ids[:3]]
            before.rollback()
        together = update(*changes)
        histories = [request("GET", f"/{bundle_id}/history").json for bundle_id in ids[:3]]

        # What a code is freed by within the batch still has it when that begins.
        held = dict(zip("abc", ids, strict=False))
        given_before: set[str | None] = set()
        meets_one = []
        for one in changes:
            code = one.get("code")
            meets_one.append(
                code is not None and (held.get(code, one["id"]) != one["id"] or code in given_before)
            )
            given_before.add(code)
        refused = [answer.status != 200 or meets for answer, meets in zip(alone, meets_one, strict=True)]
        if any(refused):
            assert together.status == 409
            named = {int(pointer.split("/")[2]) for pointer, _ in errors_of(together)}
            assert named == {place for place, is_refused in enumerate(refused) if is_refused}
            assert {history["total"] for history in histories} == {1}
        else:
            assert together.status == 200
            for answer, bundle in zip(alone, together.json["bundles"], strict=True):
                assert bundle | {"updated_at": ""} == answer.bundle | {"updated_at": ""}
            for many, one in zip(histories, one_by_one, strict=True):
                for entry, other in zip(many["items"], one["items"], strict=True):
                    assert entry | {"changed_at": ""} == other | {"changed_at": ""}
        unchanged.rollback()
