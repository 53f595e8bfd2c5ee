"""Behind PgBouncer in transaction mode, where a connection to Postgres serves many clients in turn."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress

import pytest
from sqlalchemy import Engine

from dev.database.postgres import free_port, listens
from tests.client import request
from tests.integration.at_once import at_once, live_through_a_bundle
from tests.integration.conftest import assert_unavailable, functions_with, url_of
from tests.integration.test_concurrency import assert_no_update_is_lost
from tests.waiting import until

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
POOL_SIZE = 3
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
pool_mode = transaction
default_pool_size = {pool_size}
"""

pytestmark = pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed")


@pytest.fixture(scope="module")
def pooled_url(database: Engine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run PgBouncer before the tests' server, and return the URL of the tests' database through it."""
    url = database.url.set(drivername="postgresql")
    folder = tmp_path_factory.mktemp("pgbouncer")
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


def _work(number: int) -> None:
    for round_number in range(ROUNDS):
        live_through_a_bundle(f"bundle {number}.{round_number}", subject=f"client {number}")


@pytest.mark.usefixtures("committed")
class TestPgBouncer:
    def test_every_answer_belongs_to_its_question(self, pooled_url: str) -> None:
        at_once(_work, DATABASE_URL=pooled_url, DATABASE_POOLED="true")

    def test_no_update_is_lost(self, pooled_url: str, database: Engine) -> None:
        environment = {"DATABASE_URL": pooled_url, "DATABASE_POOLED": "true"}
        assert_no_update_is_lost(url_of(database), **environment)

    def test_must_be_set(self, pooled_url: str) -> None:
        with functions_with(DATABASE_URL=pooled_url, DATABASE_POOLED="false"):
            assert_unavailable(request("GET"))
