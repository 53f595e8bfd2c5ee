"""GET …/token-bundles/history: what was done to all bundles."""

import re
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy import text

from shared.token_bundles.repository import BUNDLES
from tests.client import Answer, request
from tests.conftest import CreateDatabase, use_settings
from tests.integration.conftest import functions_with
from tests.postgres import connected, execute

NEW = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
NO_ID = "00000000-0000-4000-8000-000000000000"


def feed(**query: str) -> Answer:
    return request("GET", "/history", query=query)


def walked(**query: str) -> list[dict[str, Any]]:
    """All entries, page by page."""
    entries: list[dict[str, Any]] = []
    page = feed(**query).json
    entries += page["items"]
    while page["next"]:
        page = feed(after=page["next"], **query).json
        entries += page["items"]
    return entries


@pytest.fixture
def events(connection: sqlalchemy.Connection) -> list[tuple[str, int, str]]:  # noqa: ARG001
    """What was done, oldest first: the name of the bundle now or last, the version, the action."""
    first = request("POST", json_body=NEW | {"name": "A"}, subject="ann").bundle
    second = request("POST", json_body=NEW | {"name": "B"}, subject="bob").bundle
    request("PUT", f"/{first['id']}", json_body={"name": "A2"}, subject="ann", query={"reason": "typo"})
    request("POST", f"/{second['id']}/deactivate", subject="bob")
    request("DELETE", f"/{first['id']}", subject="bob")
    request("POST", f"/{second['id']}/activate", subject="ann")
    return [
        ("A", 1, "created"), ("B", 1, "created"), ("A2", 2, "updated"), ("B", 2, "deactivated"),
        ("A2", 3, "deleted"), ("B", 3, "activated"),
    ]  # fmt: skip


def brief(entries: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    return [(entry["bundle_name"], entry["version"], entry["action"]) for entry in entries]


class TestAccess:
    def test_nobody(self, events: object) -> None:
        assert request("GET", "/history", scope=None).status == 401
        assert request("GET", "/history", scope="token-bundles:write").status == 403


class TestEntries:
    def test_are_all_newest_first(self, events: list[tuple[str, int, str]]) -> None:
        assert brief(feed().json["items"]) == events[::-1]
        assert feed().json["next"] is None

    @pytest.mark.parametrize("per_page", ["1", "2", "3", "5", "6", "7", "1000"])
    def test_are_each_on_one_page(self, events: list[tuple[str, int, str]], per_page: str) -> None:
        assert brief(walked(per_page=per_page)) == events[::-1]

    def test_do_not_repeat_while_people_work(self, events: list[tuple[str, int, str]]) -> None:
        page = feed(per_page="2").json
        request("POST", json_body=NEW)
        assert brief(page["items"] + feed(after=page["next"]).json["items"]) == events[::-1]

    def test_are_those_of_one_bundle_and_which_it_is(self, events: object) -> None:
        entries = feed().json["items"]
        for entry in entries:
            history = request("GET", f"/{entry['bundle_id']}/history").json["items"]
            own = {name: entry[name] for name in entry if name not in {"bundle_id", "bundle_name", "exists"}}
            assert own in history
            assert entry["exists"] is (entry["bundle_name"] == "B")
        assert [entry["reason"] for entry in entries] == [None, None, None, "typo", None, None]

    def test_of_nothing_are_none(self, connection: object) -> None:
        assert feed().json == {"items": [], "next": None}

    def test_of_the_same_moment_are_each_shown_once(self, connection: sqlalchemy.Connection) -> None:
        connection.execute(
            text(
                "INSERT INTO token_bundle_change (bundle_id, version, action, changed_at)"
                " SELECT gen_random_uuid(), 1, 'deleted', '2026-01-01' FROM generate_series(1, 7)"
            )
        )
        # Without an entry before it a deletion has no name.
        connection.execute(
            text(
                "INSERT INTO token_bundle_change (bundle_id, version, action, bundle, changed_at)"
                " SELECT bundle_id, 2, 'restored', CAST(:bundle AS jsonb), '2026-01-01'"
                " FROM token_bundle_change"
            ),
            {"bundle": _snapshot()},
        )
        connection.execute(text("ALTER TABLE token_bundle_change DISABLE TRIGGER is_kept"))
        connection.execute(text("DELETE FROM token_bundle_change WHERE version = 1"))
        ids = [entry["bundle_id"] for entry in walked(per_page="2")]
        assert len(set(ids)) == len(ids) == 7


def _snapshot() -> str:
    return (
        f'{{"id": "{NO_ID}", "name": "n", "description": null, "token_amount": 1, "price": 1,'
        ' "is_active": true, "sort_order": 0, "version": 2, "created_at": "2026-01-01T00:00:00Z",'
        ' "updated_at": "2026-01-01T00:00:00Z"}'
    )


class TestFilters:
    def test_by_whom(self, events: list[tuple[str, int, str]]) -> None:
        for per_page in ("1", "20"):
            of_bob = brief(walked(changed_by="bob", per_page=per_page))
            assert of_bob == [("A2", 3, "deleted"), ("B", 2, "deactivated"), ("B", 1, "created")]
        for nobody in ("", "BOB", "bo", "%"):
            assert feed(changed_by=nobody).json["items"] == [], nobody

    def test_by_action(self, events: list[tuple[str, int, str]]) -> None:
        for per_page in ("1", "20"):
            found = brief(walked(action="deleted,created", per_page=per_page))
            assert found == [("A2", 3, "deleted"), ("B", 1, "created"), ("A", 1, "created")]
        assert feed(action="currency_changed").json == {"items": [], "next": None}
        assert len(walked(action="created,created")) == 2

    def test_by_time(self, events: list[tuple[str, int, str]]) -> None:
        entries = feed().json["items"]
        third = entries[3]["changed_at"]
        assert brief(walked(since=third)) == events[:1:-1]
        assert brief(walked(until=third, per_page="1")) == events[1::-1]
        assert brief(walked(since=third, until=entries[2]["changed_at"])) == [events[2]]
        assert feed(since=third, until=third).json["items"] == []

    @pytest.mark.parametrize(
        "earlier", ["2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00Z", "2026-01-01t00:00:00.5z",
                    "2026-01-01 00:00:00Z", "0001-01-01T00:00:00+23:59",
                    "0086-04-05T18:02:04.34-22:40", "2026-01-01T00:00:00 01:00",
                    "2026-01-01T00:00:00.123456789-00:00"],
    )  # fmt: skip
    def test_a_time_is_one_of_rfc_3339(self, events: list[tuple[str, int, str]], earlier: str) -> None:
        assert len(feed(since=earlier).json["items"]) == 6
        assert feed(until=earlier).json["items"] == []

    def test_a_lost_plus_is_read_as_one(self, connection: sqlalchemy.Connection, events: object) -> None:
        connection.execute(text("ALTER TABLE token_bundle_change DISABLE TRIGGER is_kept"))
        connection.execute(text("UPDATE token_bundle_change SET changed_at = '2026-01-01 00:30Z'"))
        query = "since=2026-01-01T01:00:00+01:00&until=2026-01-01T01:31:00+01:00"
        assert len(request("GET", "/history", query=query).json["items"]) == 6

    def test_all_together(self, events: list[tuple[str, int, str]]) -> None:
        until = feed().json["items"][1]["changed_at"]
        found = walked(changed_by="bob", action="created,deactivated,deleted", until=until, per_page="1")
        assert brief(found) == [("B", 2, "deactivated"), ("B", 1, "created")]

    @pytest.mark.parametrize(
        ("query", "parameter"),
        [
            ({"since": given}, "since")
            for given in ("", "2026-01-01", "now", "1767225600", "2026-01-01T00:00:00",
                          "2026-02-30T00:00:00Z",
                          "2026-01-01T24:00:01Z", "2026-01-01T00:00:00+25:00", "infinity", "20260101T000000Z",
                          "2026-01-01T00:00:00Z\n", "٢026-01-01T00:00:00Z", "0000-01-01T00:00:00Z")
        ]
        + [({"until": "yesterday"}, "until"), ({"action": "undone"}, "action"), ({"action": ""}, "action")]
        + [({"changed_by": "\0"}, "changed_by"), ({"per_page": "0"}, "per_page")]
        + [
            ({"after": given}, "after")
            for given in ("", "x", "~~", f"2026-01-01T00:00:00Z~{NO_ID}", f"2026-01-01T00:00:00Z~{NO_ID}~x",
                          f"2026-01-01T00:00:00Z~{NO_ID}~1~2", f"x~{NO_ID}~1", "2026-01-01T00:00:00Z~x~1",
                          f"2026-01-01T00:00:00Z~{NO_ID}~{'9' * 5000}")
        ],
    )  # fmt: skip
    def test_of_another_form_are_refused(
        self, connection: object, query: dict[str, str], parameter: str
    ) -> None:
        answer = feed(**query)
        assert (answer.status, [error["parameter"] for error in answer.json["errors"]]) == (400, [parameter])

    @pytest.mark.parametrize("number", ["0", "-1", str(2**31), str(2**70), "+1", "1_0"])
    def test_a_key_of_no_entry_is_a_place_all_the_same(self, events: object, number: str) -> None:
        assert feed(after=f"2026-01-01T00:00:00Z~{NO_ID}~{number}").json["items"] == []

    def test_unknown_parameters_are_ignored(self, events: object) -> None:
        assert len(feed(colour="red", page="x").json["items"]) == 6


@pytest.mark.usefixtures("events")
def test_nothing_is_shown_in_another_currency() -> None:
    with use_settings(DEFAULT_CURRENCY="USD"):
        assert feed().status == 503


MILLION = 1_000_000
# Of each bundle a creation by one person, and before all that one entry by another of another kind.
FILL = """
    INSERT INTO token_bundle_change (bundle_id, version, action, bundle, subject, changed_at)
    SELECT lpad(number::text, 32, '0')::uuid, 1, 'created', {snapshot}::jsonb, 'many',
        timestamptz '2026-01-01' + number * interval '1 second'
    FROM generate_series({first}, {last}) AS number
"""
RARE = """
    INSERT INTO token_bundle_change (bundle_id, version, action, bundle, subject, changed_at)
    VALUES (gen_random_uuid(), 1, 'restored', {snapshot}::jsonb, 'rare', '2025-01-01')
"""


@pytest.fixture(scope="module")
def growing(create_database: CreateDatabase, migrated_database: str) -> str:
    url = create_database(copy_of=migrated_database)
    execute(url, RARE.format(snapshot=f"'{_snapshot()}'"))
    execute(url, FILL.format(first=1, last=1000, snapshot=f"'{_snapshot()}'"), "ANALYZE token_bundle_change")
    return url


def blocks(url: str) -> dict[str, int]:
    """How many blocks each feed's first page has to look at."""
    queries: dict[str, tuple[str, list[object]]] = {
        "all": (BUNDLES.feed_sql(), [None] * 6),
        "by whom": (BUNDLES.feed_sql(), ["rare", *[None] * 5]),
        "until": (BUNDLES.feed_sql(), [None, None, "2025-06-01", None, None, None]),
        "since": (BUNDLES.feed_sql(), [None, "2026-01-01", *[None] * 4]),
        "after": (BUNDLES.feed_sql(), [None, None, None, "2025-06-01", NO_ID, 1]),
        "action": (BUNDLES.feed_sql(["restored", "deleted"]), [None] * 6),
        "usual action": (BUNDLES.feed_sql(["created"]), [None] * 6),
    }
    found = {}
    with connected(url) as connection:
        for name, (sql, values) in queries.items():
            literals = ["NULL" if value is None else f"'{value}'" for value in ("EUR", 21, *values)]
            for number, literal in reversed([*enumerate(literals, 1)]):
                sql = re.sub(rf"\${number}\b", literal, sql)  # noqa: PLW2901
            plan = connection.run(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}")[0][0][0]["Plan"]
            found[name] = plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]
    return found


def test_a_first_page_of_a_million_costs_what_one_of_a_thousand_does(growing: str) -> None:
    of_a_thousand = blocks(growing)
    fill = FILL.format(first=1001, last=MILLION, snapshot=f"'{_snapshot()}'")
    execute(growing, fill, "VACUUM ANALYZE token_bundle_change")
    of_a_million = blocks(growing)
    # An index of a million has two more levels, for each entry's look at what was before it, too.
    for name, number in of_a_million.items():
        assert number < 3 * of_a_thousand[name] + 20, (name, of_a_thousand, of_a_million)


@pytest.mark.usefixtures("database")
def test_the_functions_use_those_statements(growing: str) -> None:
    with functions_with(DATABASE_URL=growing):
        (rare,) = feed(changed_by="rare").json["items"]
        assert (rare["action"], rare["exists"]) == ("restored", False)
