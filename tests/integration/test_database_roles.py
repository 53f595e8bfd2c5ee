"""The roles of migrations/roles.sql: what the API's may do, and that it may do no more."""

from collections.abc import Iterator
from typing import Any

import migrate
import pg8000.native
import pytest
from sqlalchemy import URL, make_url

from dev.local import ROOT
from shared.database.tables import metadata
from tests.client import request
from tests.conftest import CreateDatabase, use_settings
from tests.integration.conftest import functions_with
from tests.integration.test_migrate import Context

SCRIPT = (ROOT / "migrations/roles.sql").read_text()
OWNER, API, MIGRATOR = "database_owner", "token_bundles_api", "token_bundles_migrator"
NOT_ALLOWED = "42501"


def run(url: URL, user: str, sql: str) -> Any:
    with pg8000.native.Connection(
        user, host=url.host, port=url.port, database=url.database, ssl_context=False
    ) as connection:
        return connection.run(sql)


@pytest.fixture(scope="module")
def database_url(create_database: CreateDatabase) -> Iterator[URL]:
    """Prepare a database as the runbook says, its owner no superuser, as on RDS."""
    url = make_url(create_database())
    run(url, "postgres", f"CREATE ROLE {OWNER} LOGIN CREATEROLE")
    run(
        url,
        "postgres",
        f"ALTER DATABASE {url.database} OWNER TO {OWNER}; ALTER SCHEMA public OWNER TO {OWNER}",
    )
    run(url, OWNER, SCRIPT)
    with use_settings(DATABASE_URL=as_role(url, MIGRATOR)):
        assert migrate.handler({"command": "upgrade"}, Context())["after"]  # type: ignore[arg-type]
    run(url, OWNER, SCRIPT)
    yield url
    run(url, "postgres", f"DROP OWNED BY {API}, {MIGRATOR}; REASSIGN OWNED BY {OWNER} TO postgres")
    run(url, "postgres", f"DROP ROLE {API}; DROP ROLE {MIGRATOR}; DROP ROLE {OWNER}")


def as_role(url: URL, role: str) -> str:
    return url.set(username=role).render_as_string(hide_password=False)


def test_the_api_s_role_serves_every_route(database_url: URL) -> None:
    body = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
    keyed = {"idempotency-key": "once"}
    with functions_with(DATABASE_URL=as_role(database_url, API)):
        created = request("POST", json_body=body, headers=keyed)
        assert created.status == 201
        assert request("POST", json_body=body, headers=keyed).bundle == created.bundle
        bundle = f"/{created.bundle['id']}"
        answers = [
            request("GET"),
            request("GET", bundle),
            request("PUT", bundle, json_body={"price": 5}),
            request("POST", f"{bundle}/deactivate"),
            request("POST", f"{bundle}/activate"),
            request("GET", f"{bundle}/history"),
            request("DELETE", bundle),
        ]
    assert [answer.status for answer in answers] == [200] * 7


def test_the_api_s_role_has_the_grants_that_each_table_declares(database_url: URL) -> None:
    granted: dict[str, set[str]] = {table: set() for table in metadata.tables}
    query = (
        f"SELECT table_name, privilege_type FROM information_schema.role_table_grants WHERE grantee = '{API}'"
    )
    for table, privilege in run(database_url, "postgres", query):
        granted[table].add(privilege)
    assert granted == {name: set(table.info["grants"].split(", ")) for name, table in metadata.tables.items()}


def test_the_script_leaves_tables_alone_that_it_does_not_know(database_url: URL) -> None:
    run(database_url, MIGRATOR, "CREATE TABLE newer (id integer)")
    run(database_url, OWNER, SCRIPT)
    assert run(database_url, API, "SELECT count(*) FROM newer") == [[0]]
    run(database_url, MIGRATOR, "DROP TABLE newer")


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
def test_the_api_s_role_may_do_no_more(database_url: URL, sql: str) -> None:
    with pytest.raises(pg8000.native.DatabaseError) as refused:
        run(database_url, API, sql)
    assert refused.value.args[0]["C"] == NOT_ALLOWED


def test_the_api_s_role_has_its_own_limits(database_url: URL) -> None:
    assert run(database_url, API, "SHOW statement_timeout") == [["3s"]]
    assert run(database_url, API, "SHOW lock_timeout") == [["2s"]]
