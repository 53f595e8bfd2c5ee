"""The roles of migrations/roles.sql: what the API's may do, and that it may do no more."""

from collections.abc import Iterator

import migrate
import pg8000.native
import pytest

from dev.local import ROOT
from shared.database.tables import metadata
from tests.conftest import CreateDatabase, use_settings
from tests.integration.at_once import live_through_a_bundle
from tests.integration.conftest import functions_with
from tests.integration.test_migrate import context
from tests.postgres import as_role, execute

SCRIPT = (ROOT / "migrations/roles.sql").read_text()
OWNER, API, MIGRATOR = "database_owner", "token_bundles_api", "token_bundles_migrator"
NOT_ALLOWED = "42501"


@pytest.fixture(scope="module")
def database_url(create_database: CreateDatabase) -> Iterator[str]:
    """Prepare a database as the runbook says, its owner no superuser, as on RDS."""
    url = create_database()
    owned = f"DATABASE {url.rpartition('/')[2]}", "SCHEMA public"
    change_owners = [f"ALTER {what} OWNER TO {OWNER}" for what in owned]
    execute(url, f"CREATE ROLE {OWNER} LOGIN CREATEROLE", *change_owners)
    execute(url, SCRIPT, user=OWNER)
    with use_settings(DATABASE_URL=as_role(url, MIGRATOR)):
        assert migrate.handler({"command": "upgrade"}, context())["after"]
    execute(url, SCRIPT, user=OWNER)
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
        "DELETE FROM token_bundle_idempotency_key",
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
