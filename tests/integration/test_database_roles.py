"""The roles of migrations/roles.sql: what the API's may do, and that it may do no more."""

import json
from collections.abc import Iterator
from typing import Any

import migrate
import pg8000.native
import pytest

from dev.local import ROOT
from shared.database.tables import metadata
from tests.client import request
from tests.conftest import CreateDatabase, use_settings
from tests.integration.at_once import live_through_a_bundle
from tests.integration.conftest import functions_with
from tests.integration.test_migrate import context
from tests.postgres import as_role, connected, execute

SCRIPT = (ROOT / "migrations/roles.sql").read_text()
OWNER, API, MIGRATOR = "database_owner", "token_bundles_api", "token_bundles_migrator"
NOT_ALLOWED = "42501"
# As `VersionedTable` had them, and one page; to be written anew with each release.
LAST_RELEASE = json.loads((ROOT / "tests/integration/last_release.json").read_text())
ENTRY = json.dumps({"action": "created", "subject": "admin"})


@pytest.fixture(scope="module")
def database_url(create_database: CreateDatabase) -> Iterator[str]:
    """Prepare a database as the runbook says, its owner no superuser, as on RDS."""
    url = create_database()
    owned = f"DATABASE {url.rpartition('/')[2]}", "SCHEMA public"
    change_owners = [f"ALTER {what} OWNER TO {OWNER}" for what in owned]
    execute(url, f"CREATE ROLE {OWNER} LOGIN CREATEROLE", *change_owners)
    execute(url, SCRIPT, user=OWNER)
    with use_settings(DATABASE_URL=as_role(url, MIGRATOR), DATABASE_API_ROLE=API):
        assert migrate.handler({"command": "upgrade"}, context())["after"]
    yield url
    drop_roles = [f"DROP ROLE {role}" for role in (API, MIGRATOR, OWNER)]
    execute(url, f"DROP OWNED BY {API}, {MIGRATOR}", f"REASSIGN OWNED BY {OWNER} TO postgres", *drop_roles)


def test_the_api_s_role_serves_every_route(database_url: str) -> None:
    with functions_with(DATABASE_URL=as_role(database_url, API)):
        live_through_a_bundle("Starter")


def test_the_api_s_role_has_the_grants_that_each_table_declares(database_url: str) -> None:
    granted: dict[str, set[str]] = {table: set() for table in metadata.tables}
    query = (
        f"SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = '{API}'"
    )
    for table, privilege in execute(database_url, query):
        granted[table].add(privilege)
    assert granted == {name: set(table.info["grants"].split(", ")) for name, table in metadata.tables.items()}


class TestDeployOfThisRelease:
    """Onto the last one, whose code goes on for a while, or comes back: nobody needs psql."""

    @pytest.fixture
    def last_release(self, database_url: str, create_database: CreateDatabase) -> Iterator[str]:
        """A database that the roles know, with the schema and the grants of the last release."""
        url = create_database()
        execute(url, f"ALTER SCHEMA public OWNER TO {OWNER}")
        execute(url, SCRIPT, user=OWNER)
        with use_settings(DATABASE_URL=as_role(url, MIGRATOR), DEFAULT_CURRENCY="EUR"):
            migrate.handler({"command": "upgrade", "revision": "0002"}, context())
        exact = {
            "token_bundle_change": "SELECT, INSERT",
            "token_bundle_idempotency_key": "SELECT, INSERT, UPDATE",
        }
        for table, privileges in exact.items():
            execute(url, f"REVOKE ALL ON {table} FROM {API}", f"GRANT {privileges} ON {table} TO {API}")
        yield url
        execute(url, f"DROP OWNED BY {API}, {MIGRATOR}", "ALTER SCHEMA public OWNER TO postgres")

    def upgrade(self, url: str) -> None:
        with use_settings(DATABASE_URL=as_role(url, MIGRATOR), DATABASE_API_ROLE=API, DEFAULT_CURRENCY="EUR"):
            migrate.handler({"command": "upgrade"}, context())

    def live_as_the_last_release(self, url: str, name: str) -> str:
        """Do with a bundle all that the last release could, by its statements."""
        entry = json.dumps({"action": "updated", "subject": "admin"})

        def run(statement: str, *parameters: str | int | None) -> Any:
            rows = connection.execute_unnamed(LAST_RELEASE[statement], parameters).rows
            return json.loads(rows[0][0]) if rows else None

        with connected(url, API) as connection:
            values = {"name": name, "token_amount": 1, "price": 1, "is_active": True, "sort_order": 0}
            claim = json.dumps({"caller": "admin", "key": name})
            created = [run("create", json.dumps(values), ENTRY, claim) for _ in range(2)]
            assert [outcome["outcome"] for outcome in created] == ["done", "replayed"]
            bundle_id = created[0]["row"]["id"]
            given = {"id": bundle_id, "expected": [1], "fields": {"name": f"{name} changed"}}
            assert run("update", json.dumps(given), entry)["row"]["version"] == 2
            assert run("get", bundle_id)["name"] == f"{name} changed"
            assert run("history", 20, 0, bundle_id)["total"] == 2
            assert run("page", 20, 0, "true", f"{name} ch")["total"] == 1
            given = {"id": run("create", json.dumps(values), ENTRY, None)["row"]["id"]}
            assert run("delete", json.dumps(given), ENTRY.replace("created", "deleted"))["outcome"] == "done"
        return str(bundle_id)

    def test_every_route_and_the_last_release_go_on(self, last_release: str) -> None:
        old = self.live_as_the_last_release(last_release, "Before")
        self.upgrade(last_release)
        late = self.live_as_the_last_release(last_release, "After")
        execute(last_release, SCRIPT, user=OWNER)
        with functions_with(DATABASE_URL=as_role(last_release, API), DEFAULT_CURRENCY="EUR"):
            live_through_a_bundle("New")
            for bundle_id, name in ((old, "BEFORE CHANGED"), (late, "AFTER CHANGED")):
                found = request("GET", query={"q": name}).json
                assert [item["id"] for item in found["items"]] == [bundle_id]
                assert request("GET", f"/{bundle_id}/history").json["total"] == 2
                assert request("PATCH", f"/{bundle_id}", json_body={"name": "Renamed"}).status == 200


def test_the_script_leaves_tables_alone_that_it_does_not_know(database_url: str) -> None:
    execute(database_url, "CREATE TABLE newer (id integer)", user=MIGRATOR)
    execute(database_url, SCRIPT, user=OWNER)
    assert execute(database_url, "SELECT count(*) FROM newer", user=API) == [[0]]
    execute(database_url, "DROP TABLE newer", user=MIGRATOR)


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE token_bundle_change SET subject = 'nobody'",
        "DELETE FROM token_bundle_change",
        "TRUNCATE token_bundle_change",
        "TRUNCATE token_bundle",
        "UPDATE default_currency SET code = 'JPY'",
        "DELETE FROM default_currency",
        "ALTER TABLE token_bundle DISABLE TRIGGER ALL",
        "SET session_replication_role = replica",
        "ALTER TABLE token_bundle ADD COLUMN more integer",
        "DROP TABLE token_bundle",
        "CREATE TABLE mine (id integer)",
        "UPDATE alembic_version SET version_num = '0001'",
        f"SET ROLE {MIGRATOR}",
    ],
)
def test_the_api_s_role_may_do_no_more(database_url: str, sql: str) -> None:
    with pytest.raises(pg8000.native.DatabaseError) as refused:
        execute(database_url, sql, user=API)
    assert refused.value.args[0]["C"] == NOT_ALLOWED


def test_the_api_s_role_has_its_own_limits(database_url: str) -> None:
    assert execute(database_url, "SHOW statement_timeout", user=API) == [["3s"]]
    assert execute(database_url, "SHOW lock_timeout", user=API) == [["2s"]]
