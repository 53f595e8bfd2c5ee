"""To look at what would come of a change: the same answers, and nothing is left of it."""

import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from pg8000 import core
from sqlalchemy import Engine, text

from shared.database.connection import ROLLBACK, connect
from shared.settings import Timeouts
from tests.client import Answer, request
from tests.integration.conftest import Counted, functions_with, url_of
from tests.postgres import EMPTY, execute
from tests.proxy import Proxy

NEW = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
NO_ID = "00000000-0000-4000-8000-000000000000"
LOOK = {"validate_only": "true"}
EVERYTHING = """
    SELECT json_build_array(
        (SELECT json_agg(bundle ORDER BY id) FROM token_bundle AS bundle),
        (SELECT json_agg(entry ORDER BY bundle_id, version) FROM token_bundle_change AS entry),
        (SELECT json_agg(used ORDER BY caller, key) FROM token_bundle_idempotency_key AS used)
    )::text
"""


class Shop(NamedTuple):
    """Some bundles that other connections can see, too."""

    url: str
    first: dict[str, Any]
    second: dict[str, Any]
    deleted: dict[str, Any]


@pytest.fixture
def shop(database: Engine) -> Iterator[Shop]:
    with functions_with():
        first, second, deleted = (
            request(
                "POST", json_body=NEW | {"name": name, "code": code}, headers={"idempotency-key": code}
            ).bundle
            for name, code in (("One", "one"), ("Two", "two"), ("Three", "three"))
        )
        assert request("PATCH", f"/{first['id']}", json_body={"price": "8"}).status == 200
        assert request("DELETE", f"/{deleted['id']}").status == 200
        execute(
            url_of(database),
            "CREATE TABLE purchase (bundle_id uuid REFERENCES token_bundle)",
            f"INSERT INTO purchase VALUES ('{second['id']}')",
        )
        yield Shop(url_of(database), first, second, deleted)
    with database.begin() as connection:
        connection.execute(text("DROP TABLE purchase"))
        connection.execute(text(EMPTY))


class Write(NamedTuple):
    """A request that changes something, unless it is refused."""

    method: str
    path: Callable[[Shop], str]
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    scope: str = "token-bundles:write"


def first(shop: Shop) -> str:
    return f"/{shop.first['id']}"


def second(shop: Shop) -> str:
    return f"/{shop.second['id']}"


def deleted(shop: Shop) -> str:
    return f"/{shop.deleted['id']}"


def nowhere(_: Shop) -> str:
    return f"/{NO_ID}"


def collection(_: Shop) -> str:
    return ""


def action(name: str, of: Callable[[Shop], str] = first) -> Callable[[Shop], str]:
    return lambda shop: f"{of(shop)}/{name}"


STALE, CURRENT, ANY = ({"if-match": tag} for tag in ('"1"', '"2"', "*"))
SUCCESSES = {
    "create": Write("POST", collection, NEW | {"code": "new", "metadata": {"a": "1"}}),
    "create with a key": Write("POST", collection, NEW, {"idempotency-key": "new"}),
    "replay": Write("POST", collection, NEW | {"name": "One", "code": "one"}, {"idempotency-key": "one"}),
    "put": Write("PUT", first, {"price": 0, "code": None, "metadata": {"a": "b"}}),
    "patch": Write("PATCH", first, {"name": "two", "description": "x"}, CURRENT),
    "nothing": Write("PATCH", first, {"price": "8.00"}),
    "no field": Write("PUT", first, {}),
    "delete": Write("DELETE", first, headers=ANY),
    "activate": Write("POST", action("activate")),
    "deactivate": Write("POST", action("deactivate")),
    "restore": Write("POST", action("restore"), {"version": 1}),
    "restore what is": Write("POST", action("restore"), {"version": 2}),
    "restore what is deleted": Write("POST", action("restore", deleted), {"version": 1}),
}
REFUSALS = {
    "scope": (403, Write("PUT", first, {"price": 1}, scope="token-bundles:read")),
    "too large": (413, Write("POST", collection, {"name": "x" * 70_000})),
    "media type": (415, Write("PUT", first, {"price": 1}, {"content-type": "text/plain"})),
    "field": (400, Write("PUT", first, {"price": -1, "colour": "red"})),
    "restore nothing": (400, Write("POST", action("restore"), {"version": 9})),
    "restore a deletion": (400, Write("POST", action("restore", deleted), {"version": 2})),
    "header": (400, Write("DELETE", first, headers={"if-match": "1"})),
    "put nowhere": (404, Write("PUT", nowhere, {"price": 1}, ANY)),
    "delete nowhere": (404, Write("DELETE", nowhere)),
    "activate what is deleted": (404, Write("POST", action("activate", deleted))),
    "restore nowhere": (404, Write("POST", action("restore", nowhere), {"version": 1})),
    "put stale": (412, Write("PUT", first, {"price": 1}, STALE)),
    "delete stale": (412, Write("DELETE", first, headers=STALE)),
    "deactivate stale": (412, Write("POST", action("deactivate"), headers=STALE)),
    "restore stale": (412, Write("POST", action("restore"), {"version": 1}, STALE)),
    "restore what is deleted if there": (412, Write("POST", action("restore", deleted), {"version": 1}, ANY)),
    "excluded": (412, Write("PUT", first, {"price": 1}, {"if-none-match": "*"})),
    "version": (409, Write("PUT", first, {"price": 1, "version": 1})),
    "create taken": (409, Write("POST", collection, NEW | {"code": "two"})),
    "taken with a key": (409, Write("POST", collection, NEW | {"code": "two"}, {"idempotency-key": "k"})),
    "put taken": (409, Write("PUT", first, {"code": "two"})),
    "referenced": (409, Write("DELETE", second)),
    "key": (422, Write("POST", collection, NEW | {"code": "two"}, {"idempotency-key": "one"})),
}  # fmt: skip


def ask(shop: Shop, write: Write, query: dict[str, str] | None = None) -> Answer:
    return request(
        write.method,
        write.path(shop),
        json_body=write.body,
        headers=write.headers,
        query=query,
        scope=write.scope,
    )


def everything(shop: Shop) -> str:
    return str(execute(shop.url, EVERYTHING)[0][0])


class TestAnswer:
    @pytest.mark.parametrize("name", SUCCESSES)
    def test_is_what_would_come_of_it(self, shop: Shop, name: str, counted: Counted) -> None:
        write, before = SUCCESSES[name], everything(shop)
        counted()
        look = ask(shop, write, LOOK)
        assert counted() == []
        assert everything(shop) == before
        done = ask(shop, write)

        assert look.status == 200, look.text
        assert not {"etag", "location"} & look.headers.keys()
        assert look.headers.get("idempotency-replayed") == done.headers.get("idempotency-replayed")
        assert look.json["validate_only"] is True
        if write.method == "DELETE":
            assert look.json["message"] == done.json["message"]
        else:
            unknown = {"version", "updated_at"} | ({"id", "created_at"} if done.status == 201 else set())
            assert look.json["bundle"] == {n: v for n, v in done.bundle.items() if n not in unknown}
        entries = json.loads(everything(shop))[1]
        was = json.loads(before)[1]
        if len(entries) == len(was):
            assert look.json["changes"] == {}
        else:
            (entry,) = [entry for entry in entries if entry not in was]
            newest = request("GET", f"/{entry['bundle_id']}/history").json["items"][0]
            assert look.json["changes"] == newest["changes"]

    @pytest.mark.parametrize("name", REFUSALS)
    def test_is_the_same_refusal(self, shop: Shop, name: str, counted: Counted) -> None:
        (status, write), before = REFUSALS[name], everything(shop)
        counted()
        look = ask(shop, write, LOOK)
        assert counted() == []
        done = ask(shop, write)
        assert (look.status, look.text, look.headers) == (done.status, done.text, done.headers)
        assert look.status == status
        assert everything(shop) == before

    @pytest.mark.parametrize("name", ["put", "delete", "deactivate", "restore"])
    def test_is_that_a_version_must_be_named(self, shop: Shop, name: str) -> None:
        write = SUCCESSES[name]._replace(headers={})
        with functions_with(REQUIRE_IF_MATCH="true"):
            look, done = ask(shop, write, LOOK), ask(shop, write)
        assert (look.status, look.text) == (428, done.text)

    def test_is_the_same_refusal_of_many(self, shop: Shop) -> None:
        write = Write(
            "PATCH",
            collection,
            {
                "bundles": [
                    {"id": shop.first["id"], "price": 1, "version": 1}, {"id": NO_ID, "price": 1},
                    {"id": shop.second["id"], "code": "one"},
                ]
            },
        )  # fmt: skip
        look, done = ask(shop, write, LOOK), ask(shop, write)
        assert (look.status, look.text) == (409, done.text)

    def test_of_many_is_in_their_order(self, shop: Shop) -> None:
        body = {"bundles": [{"id": shop.second["id"], "price": 1}, {"id": shop.first["id"], "price": "8"}]}
        before = everything(shop)
        look = ask(shop, Write("PATCH", collection, body), LOOK)
        assert everything(shop) == before
        done = ask(shop, Write("PATCH", collection, body))
        unknown = {"version", "updated_at"}
        known = [{n: v for n, v in bundle.items() if n not in unknown} for bundle in done.json["bundles"]]
        assert look.json["bundles"] == known
        assert look.json["changes"] == [{"price": {"from": "9.90", "to": "1.00"}}, {}]
        assert "/bundles/0/price" in {one["pointer"] for one in look.json["warnings"]}

    def test_leaves_a_key_to_the_real_request(self, shop: Shop) -> None:
        write = SUCCESSES["create with a key"]
        assert ask(shop, write, LOOK).status == 200
        done = ask(shop, write)
        assert (done.status, "idempotency-replayed" in done.headers) == (201, False)

    def test_warns_of_the_state_as_it_would_be(self, shop: Shop) -> None:
        warnings = ask(shop, Write("PATCH", first, {"name": " TWO ", "price": "0"}), LOOK).json["warnings"]
        assert {(one["code"], one["pointer"]) for one in warnings} == {
            ("price_changed_much", "/price"), ("dominated", "/price"), ("same_name", "/name"),
        }  # fmt: skip
        ask(shop, Write("POST", action("deactivate", second)))
        for write, pointer in ((SUCCESSES["deactivate"], "/is_active"), (SUCCESSES["delete"], "")):
            (one,) = ask(shop, write, LOOK).json["warnings"]
            assert (one["code"], one["pointer"]) == ("last_active", pointer)

    @pytest.mark.parametrize("value", ["TRUE", "True", "true"])
    def test_is_asked_for_in_any_case(self, shop: Shop, value: str) -> None:
        assert "validate_only" in ask(shop, SUCCESSES["put"], {"validate_only": value}).json

    def test_may_be_declined(self, shop: Shop) -> None:
        assert ask(shop, SUCCESSES["put"], {"validate_only": "false"}).bundle["version"] == 3


class TestRoundTrip:
    @pytest.mark.parametrize(
        ("write", "trips"),
        [
            (SUCCESSES["create with a key"], 1), (SUCCESSES["put"], 1), (SUCCESSES["delete"], 1),
            (SUCCESSES["deactivate"], 1), (REFUSALS["put taken"][1], 1), (REFUSALS["put stale"][1], 1),
            (REFUSALS["referenced"][1], 1),
            # What it was is read first, which takes one more, as it does without.
            (SUCCESSES["restore"], 2),
        ],
    )  # fmt: skip
    def test_is_one(self, shop: Shop, write: Write, trips: int) -> None:
        with Proxy(shop.url) as proxy, functions_with(DATABASE_URL=proxy.url):
            request("GET")
            for query in (LOOK, LOOK, None):
                before = proxy.round_trips
                ask(shop, write, query)
                assert proxy.round_trips - before == trips

    def test_is_one_for_many(self, shop: Shop) -> None:
        body = {"bundles": [{"id": shop.second["id"], "price": 1}, {"id": shop.first["id"], "price": "7"}]}
        with Proxy(shop.url) as proxy, functions_with(DATABASE_URL=proxy.url):
            request("GET")
            for query in (LOOK, None):
                before = proxy.round_trips
                assert ask(shop, Write("PATCH", collection, body), query).status == 200
                assert proxy.round_trips - before == 1

    @pytest.mark.parametrize("sql", ["INSERT INTO kept VALUES (1) RETURNING ''", "SELECT (1 / 0)::text"])
    def test_ends_idle(self, shop: Shop, sql: str) -> None:
        connection = connect(shop.url, Timeouts())
        connection.autocommit = True
        connection.execute_simple("CREATE TEMPORARY TABLE kept (number integer)")
        said: list[bytes] = []
        ready = connection.message_types[core.READY_FOR_QUERY]

        def remember(data: bytes, context: Any) -> None:
            said.append(bytes(data))
            ready(data, context)

        connection.message_types[core.READY_FOR_QUERY] = remember
        try:
            connection.execute_pipelined(sql, [], prepared=True, then=[("SELECT ''", []), ROLLBACK])
        except core.DatabaseError as error:
            assert "1 / 0" in sql, error
        assert said == [core.IDLE]
        assert connection.is_settled
        assert connection.execute_pipelined("SELECT count(*)::text FROM kept", [], prepared=True) == ["0"]
        connection.hang_up()
