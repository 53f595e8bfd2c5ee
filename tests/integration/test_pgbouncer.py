"""Behind PgBouncer in transaction mode, where a connection to Postgres serves many clients in turn."""

import multiprocessing
import os
import shutil
import socket
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from dev.database.postgres import free_port
from tests.client import Answer, request
from tests.integration.conftest import assert_unavailable, functions_with

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
CLIENTS = 8
POOL_SIZE = 3
SHARED = 4
ROUNDS = 50 if os.environ.get("TEST_SIZE") == "full" else 6
START_SECONDS = 20
VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
CONFIGURATION = """
[databases]
* = host={host} port={port} user={user}
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
            host=url.host, port=url.port, user=url.username, listen_port=port, pool_size=POOL_SIZE
        )
    )
    # It refuses to run as root.
    user = ["--user=nobody"] if os.geteuid() == 0 else []
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [PGBOUNCER or "", *user, configuration], stdin=subprocess.DEVNULL, stdout=output, stderr=output
        ) as process,
    ):
        try:
            _wait_until_listening(port, process, log)
            yield url.set(port=port).render_as_string(hide_password=False)
        finally:
            process.terminate()
            with suppress(subprocess.TimeoutExpired):
                process.wait(START_SECONDS)
            process.kill()


def _wait_until_listening(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    pytest.fail(f"PgBouncer did not start:\n{log.read_text()}")


@pytest.mark.usefixtures("committed")
class TestPgBouncer:
    def test_many_clients_at_once(self, pooled_url: str, capsys: pytest.CaptureFixture[str]) -> None:
        with functions_with(DATABASE_URL=pooled_url, DATABASE_POOLED="true"):
            shared = [_created(f"shared {number}") for number in range(SHARED)]
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            CLIENTS, context, initializer=_be_client, initargs=(pooled_url, context.Barrier(CLIENTS))
        ) as clients:
            counts: Counter[str] = sum(
                clients.map(_work, range(CLIENTS), [shared] * CLIENTS, timeout=600), Counter()
            )
        with functions_with(DATABASE_URL=pooled_url, DATABASE_POOLED="true"):
            changed = 0
            for bundle in shared:
                final = request("GET", f"/{bundle['id']}").bundle
                changes = _whole_history(bundle)
                assert [entry["version"] for entry in changes] == list(range(final["version"], 0, -1))
                changed += len(changes) - 1
        with capsys.disabled():
            told = ", ".join(f"{what} {count}" for what, count in sorted(counts.items()))
            print(f"\nPgBouncer, {CLIENTS} clients on {POOL_SIZE} connections: {told}, wrong 0")
        assert changed == counts["changes of shared"]

    def test_must_be_set(self, pooled_url: str) -> None:
        with functions_with(DATABASE_URL=pooled_url, DATABASE_POOLED="false"):
            assert_unavailable(request("GET"))


start: Barrier


def _be_client(database_url: str, barrier: Barrier) -> None:
    global start  # noqa: PLW0603 - a barrier reaches another process in no other way
    start = barrier
    os.environ.update(DATABASE_URL=database_url, DATABASE_POOLED="true", DEFAULT_CURRENCY="EUR")


def _work(number: int, shared: list[dict[str, Any]]) -> Counter[str]:
    """Do all there is to do, on bundles of one's own and on those of all, and check every answer."""
    client = Client(f"client {number}")
    start.wait(START_SECONDS)
    for round_number in range(ROUNDS):
        client.live_through_a_bundle(f"bundle {number}.{round_number}")
        client.change_together(shared[(number + round_number) % SHARED])
    return client.counts


class Client:
    """One process with one connection, as a Lambda environment."""

    def __init__(self, subject: str) -> None:
        self.subject = subject
        self.counts: Counter[str] = Counter()

    def ask(self, *arguments: str, **options: Any) -> Answer:
        self.counts["answers checked"] += 1
        return request(*arguments, subject=self.subject, **options)

    def live_through_a_bundle(self, name: str) -> None:
        key = {"Idempotency-Key": str(uuid.uuid4())}
        body = VALID | {"name": name}
        created = self.ask("POST", json_body=body, headers=key)
        assert created.status == 201, created.text
        bundle = created.bundle
        assert (bundle["name"], bundle["price"], bundle["version"]) == (name, "9.90", 1)
        replayed = self.ask("POST", json_body=body, headers=key)
        assert (replayed.status, replayed.text) == (201, created.text)
        assert replayed.headers["idempotency-replayed"] == "true"

        path = f"/{bundle['id']}"
        for method, action, fields in (
            ("PATCH", "", {"description": f"patched by {self.subject}"}),
            ("PUT", "", {"price": "0.05", "token_amount": 7}),
            ("POST", "/deactivate", {"is_active": False}),
            ("POST", "/activate", {"is_active": True}),
        ):
            before = self.ask("GET", path)
            assert before.bundle == bundle
            changed = self.ask(
                method, path + action, json_body=fields, headers={"If-Match": before.headers["etag"]}
            )
            assert changed.status == 200, changed.text
            bundle = {
                **bundle,
                **fields,
                "version": bundle["version"] + 1,
                "updated_at": changed.bundle["updated_at"],
            }
            assert changed.bundle == bundle
            stale = self.ask("PATCH", path, json_body=fields, headers={"If-Match": before.headers["etag"]})
            assert stale.status == 412

        listed = self.ask("GET", query={"q": name}).json
        assert (listed["total"], listed["items"]) == (1, [bundle])
        assert self.ask("DELETE", path).status == 200
        assert self.ask("GET", path).status == 404
        history = self.ask("GET", f"{path}/history").json
        assert [(entry["version"], entry["action"]) for entry in history["items"]] == [
            (6, "deleted"),
            (5, "activated"),
            (4, "deactivated"),
            (3, "updated"),
            (2, "updated"),
            (1, "created"),
        ]
        assert self.subject in str(history["items"][0])

    def change_together(self, bundle: dict[str, Any]) -> None:
        path = f"/{bundle['id']}"
        read = self.ask("GET", path)
        assert (read.status, read.bundle["id"], read.bundle["name"]) == (200, bundle["id"], bundle["name"])
        for headers in ({"If-Match": read.headers["etag"]}, None):
            description = str(uuid.uuid4())
            answer = self.ask("PATCH", path, json_body={"description": description}, headers=headers)
            if answer.status == 412 and headers:
                self.counts["conflicts"] += 1
                continue
            assert answer.status == 200, answer.text
            assert answer.bundle["description"] == description
            assert (answer.bundle["id"], answer.bundle["name"]) == (bundle["id"], bundle["name"])
            self.counts["changes of shared"] += 1


def _created(name: str) -> dict[str, Any]:
    return request("POST", json_body=VALID | {"name": name}).bundle


def _whole_history(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    entries: list[dict[str, Any]] = []
    for page in range(1, 1000):
        query = {"page": str(page), "per_page": "100"}
        found = request("GET", f"/{bundle['id']}/history", query=query).json
        entries += found["items"]
        if page >= found["pages"]:
            return entries
    return pytest.fail("the history does not end")
