"""Whatever a database or a role is set to, the API answers the same."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import migrate
import pytest
from sqlalchemy import make_url

from tests.client import request
from tests.conftest import CreateDatabase, use_settings
from tests.integration.at_once import VALID, live_through_a_bundle
from tests.integration.conftest import functions_with
from tests.integration.test_migrate import context
from tests.integration.test_pgbouncer import PGBOUNCER, pgbouncer
from tests.postgres import execute

SETTINGS = [
    "DateStyle = 'SQL, DMY'",
    "DateStyle = 'German'",
    "DateStyle = 'Postgres, MDY'",
    "TimeZone = 'Asia/Kolkata'",
    "TimeZone = 'America/St_Johns'",
    "IntervalStyle = 'sql_standard'",
    "client_encoding = 'LATIN1'",
    "client_encoding = 'SQL_ASCII'",
    "standard_conforming_strings = off",
    "backslash_quote = on",
    "search_path = nowhere",
    "search_path = pg_temp, nowhere, pg_catalog",
    "default_transaction_read_only = on",
    "default_transaction_isolation = 'serializable'",
    "default_transaction_isolation = 'repeatable read'",
    "default_transaction_deferrable = on",
    "row_security = off",
    "transform_null_equals = on",
    "array_nulls = off",
    "extra_float_digits = -15",
    "bytea_output = 'escape'",
    "xmloption = document",
    "plan_cache_mode = force_custom_plan",
    "plan_cache_mode = force_generic_plan",
    "enable_indexscan = off",
    "quote_all_identifiers = on",
    "check_function_bodies = off",
    "lc_messages = 'C'",
    "lc_numeric = 'C'",
    "client_min_messages = debug1",
    "log_min_error_statement = panic",
    "idle_session_timeout = '10min'",
    "jit = on",
]
NAMES = [setting.partition(" =")[0] for setting in SETTINGS]
# As many at once as a database can have: the first value of each, then the second, then the third.
TOGETHER = [
    [setting for place, setting in enumerate(SETTINGS) if NAMES[:place].count(NAMES[place]) == turn]
    for turn in range(3)
]
assert sum(map(len, TOGETHER)) == len(SETTINGS)


@pytest.fixture(params=SETTINGS)
def setting(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["database", "role"])
def url(
    request: pytest.FixtureRequest,
    setting: str,
    server_url: str,
    create_database: CreateDatabase,
    migrated_database: str,
) -> Iterator[str]:
    """A migrated database with the setting, of its own or of the role in it."""
    url = create_database(copy_of=migrated_database)
    name = make_url(url).database
    what = f"DATABASE {name}" if request.param == "database" else f"ROLE postgres IN DATABASE {name}"
    execute(server_url, f"ALTER {what} SET {setting}")
    yield url
    execute(server_url, f"ALTER {what} RESET ALL")


@pytest.fixture(scope="module")
def pooler(server_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a PgBouncer before all databases."""
    with pgbouncer(make_url(server_url), tmp_path_factory.mktemp("pgbouncer")) as url:
        yield make_url(url).port or 0


def live() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    live_through_a_bundle("Ärger 👍 \\' %")
    bundle = request("POST", json_body=VALID | {"name": "Größe", "price": "1234567.89"}).bundle
    assert (bundle["name"], bundle["price"]) == ("Größe", "1234567.89")
    changed = request("PATCH", f"/{bundle['id']}", json_body={"description": "\\ 'ü'"}).bundle
    (entry, _) = request("GET", f"/{bundle['id']}/history").json["items"]
    assert entry["changes"] == {"description": {"from": None, "to": "\\ 'ü'"}}
    for shown in (bundle["created_at"], changed["updated_at"], entry["changed_at"]):
        assert before < datetime.fromisoformat(shown) < before + timedelta(minutes=1)
    assert request("GET", query={"q": "GRÖSSE"}).json["items"] == [changed]


class TestSettings:
    def test_do_not_matter(self, url: str) -> None:
        with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
            live()

    @pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")
    def test_do_not_matter_behind_a_pooler(self, url: str, pooler: int) -> None:
        pooled_url = make_url(url).set(port=pooler).render_as_string(hide_password=False)
        with functions_with(DATABASE_URL=pooled_url, DATABASE_POOLED="true", DEFAULT_CURRENCY="EUR"):
            live()

    @pytest.mark.parametrize("settings", TOGETHER, ids=["first", "second", "third"])
    def test_do_not_matter_to_a_migration(self, settings: list[str], create_database: CreateDatabase) -> None:
        url = create_database()
        name = make_url(url).database
        execute(url, *(f"ALTER DATABASE {name} SET {setting}" for setting in settings))
        with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
            assert migrate.handler({"command": "upgrade"}, context())["after"]
        assert execute(url, "SELECT 'public.token_bundle_change'::regclass IS NOT NULL") == [[True]]


class TestEncoding:
    @pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1", "EUC_JP"])
    def test_of_a_database_is_utf8(self, server_url: str, encoding: str) -> None:
        name = f"encoded_{encoding.lower()}"
        execute(
            server_url,
            f"CREATE DATABASE {name} TEMPLATE template0 ENCODING {encoding} LOCALE_PROVIDER libc LOCALE 'C'",
        )
        url = make_url(server_url).set(database=name).render_as_string(hide_password=False)
        with (
            use_settings(DATABASE_URL=url),
            pytest.raises(RuntimeError, match=rf"{encoding}.* ENCODING 'UTF8'"),
        ):
            migrate.handler({"command": "upgrade"}, context())
        assert execute(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [[0]]
