"""Behind PgBouncer, where few connections to Postgres serve many clients in turn."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Engine, make_url

from dev.database.postgres import free_port, listens
from shared.database import connection as database_connection
from tests.client import request
from tests.integration.at_once import at_once, live_through_a_bundle
from tests.integration.conftest import assert_unavailable, functions_with, url_of
from tests.integration.test_concurrency import assert_no_update_is_lost
from tests.integration.test_connection import transactions_by_default
from tests.proxy import Proxy
from tests.waiting import until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
POOL_SIZE = 2
ROUNDS = 50 if os.environ.get("TEST_SIZE") == "full" else 6
STOP_SECONDS = 20
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user} password={password}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = any
pool_mode = {mode}
default_pool_size = {pool_size}
ignore_startup_parameters = {ignored}
"""


@contextmanager
def pgbouncer(database: URL, folder: Path, *, mode: str = "transaction", ignored: str = "") -> Iterator[str]:
    """Run PgBouncer before the server of a database, and return the URL of the database through it."""
    url = database.set(drivername="postgresql")
    configuration, log = folder / "pgbouncer.ini", folder / "pgbouncer.log"
    port = free_port()
    configuration.write_text(
        CONFIGURATION.format(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            listen_port=port,
            pool_size=POOL_SIZE,
            mode=mode,
            ignored=ignored,
        )
    )
    # It refuses to run as root.
    user = ["--user=nobody"] if os.geteuid() == 0 else []
    pooled_url = url.set(port=port).render_as_string(hide_password=False)
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [PGBOUNCER or "", *user, configuration], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            until(lambda: process.poll() is not None or listens(pooled_url))
            assert process.poll() is None, log.read_text()
            yield pooled_url
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(STOP_SECONDS)
            process.kill()


@pytest.fixture
def pooled_url(database: Engine, folder: Path) -> Iterator[str]:
    with pgbouncer(database.url, folder) as url:
        yield url


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("pgbouncer")


def _work(number: int) -> None:
    # In session mode they wait for one another, and each has its server to the end.
    until(lambda: request("GET").status == 200)
    for round_number in range(ROUNDS):
        live_through_a_bundle(f"bundle {number}.{round_number}", subject=f"client {number}")
    database_connection.CONNECTION.close()


@pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")
def test_it_sets_nothing_before_each_statement(
    database: Engine, folder: Path, committed: dict[str, Any]
) -> None:
    with (
        Proxy(url_of(database)) as proxy,
        pgbouncer(make_url(proxy.url), folder) as url,
        functions_with(DATABASE_URL=url, DATABASE_POOLED="true"),
    ):
        request("GET", f"/{committed['id']}")
        before = proxy.round_trips
        for _ in range(3):
            assert request("GET", f"/{committed['id']}").bundle == committed
        assert proxy.round_trips - before == 3


@pytest.mark.usefixtures("committed")
def test_every_answer_belongs_to_its_question_without_it(database: Engine) -> None:
    at_once(_work, DATABASE_URL=url_of(database))


@pytest.mark.usefixtures("committed")
@pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")
class TestPgBouncer:
    @pytest.mark.parametrize("mode", ["transaction", "session"])
    @pytest.mark.parametrize("pooled", ["true", "false"])
    def test_every_answer_belongs_to_its_question(
        self, database: Engine, folder: Path, mode: str, pooled: str
    ) -> None:
        """What the setting says is a matter of speed."""
        ignored = "" if pooled == "true" else "statement_timeout,lock_timeout"
        with pgbouncer(database.url, folder, mode=mode, ignored=ignored) as url:
            at_once(_work, DATABASE_URL=url, DATABASE_POOLED=pooled, DATABASE_STATEMENT_TIMEOUT="1")

    def test_no_update_is_lost(self, pooled_url: str, database: Engine) -> None:
        environment = {"DATABASE_URL": pooled_url, "DATABASE_POOLED": "true"}
        assert_no_update_is_lost(url_of(database), **environment)

    def test_must_be_set_when_nothing_is_ignored(self, pooled_url: str) -> None:
        with functions_with(DATABASE_URL=pooled_url, DATABASE_POOLED="false"):
            assert_unavailable(request("GET"))

    @pytest.mark.parametrize("altered", ["DATABASE {database}", "ROLE {user}"])
    def test_what_transactions_are_by_default_matters_not(
        self, database: Engine, folder: Path, altered: str
    ) -> None:
        alter = altered.format(database=database.url.database, user=database.url.username)
        with (
            transactions_by_default(url_of(database), alter),
            pgbouncer(database.url, folder) as url,
            functions_with(DATABASE_URL=url, DATABASE_POOLED="true"),
        ):
            live_through_a_bundle("bundle")
