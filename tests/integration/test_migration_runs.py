"""Whole runs of the migrations, from checkouts of any name, on databases that are set to anything."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory

from dev.local import ROOT
from migrations.runner import current_revision, run
from tests.conftest import CreateDatabase, use_settings
from tests.postgres import connected, execute
from tests.proxy import Proxy

HEAD = ScriptDirectory(str(ROOT / "migrations")).get_current_head()

INDEX = """
    with op.get_context().autocommit_block():
        op.drop_index("fast", "token_bundle", postgresql_concurrently=True, if_exists=True)
        op.create_index("fast", "token_bundle", ["name"], postgresql_concurrently=True)
"""
VALID = "SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('public.fast')"


@pytest.fixture
def database_url(create_database: CreateDatabase) -> Iterator[str]:
    url = create_database()
    with use_settings(DATABASE_URL=url):
        yield url


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return copy_checkout(tmp_path)


def copy_checkout(parent: Path) -> Path:
    """Copy what is deployed to a folder with an awkward name."""
    folder = parent / "100% ä %(here)s"
    for name in ("migrations", "shared"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def add_migration(checkout: Path, body: str) -> None:
    head = f"from alembic import op\n\nrevision, down_revision = 'new', {HEAD!r}\n"
    (checkout / "migrations/versions/new.py").write_text(f"{head}\ndef upgrade():\n    {body.strip()}\n")


def deploying(checkout: Path, url: str) -> subprocess.Popen[str]:
    code = "import json; from migrations.runner import run; print(json.dumps(run('upgrade')['after']))"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=checkout,
        env={"PATH": os.defpath, "PYTHONPATH": str(checkout), "DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


class TestCheckout:
    def test_may_have_any_name(self, checkout: Path, database_url: str) -> None:
        with deploying(checkout, database_url) as deploy:
            output, errors = deploy.communicate(timeout=60)
        assert output.endswith(f'"{HEAD}"\n'), errors


class TestConcurrentIndex:
    @pytest.fixture(autouse=True)
    def migration(self, checkout: Path, database_url: str) -> None:
        run("upgrade")
        add_migration(checkout, INDEX)

    def test_three_at_once(self, checkout: Path, database_url: str) -> None:
        with ExitStack() as stack:
            deploys = [stack.enter_context(deploying(checkout, database_url)) for _ in range(3)]
            told = [deploy.communicate(timeout=60) for deploy in deploys]
        assert [output.splitlines()[-1:] for output, _ in told] == [['"new"']] * 3, told
        assert execute(database_url, VALID) == [[True]]

    def test_a_blocker_delays_it_to_the_next_deploy(self, checkout: Path, database_url: str) -> None:
        began = time.monotonic()
        with connected(database_url) as other:
            other.run("BEGIN")
            other.run("LOCK TABLE token_bundle IN ROW EXCLUSIVE MODE")
            with deploying(checkout, database_url) as deploy:
                _, errors = deploy.communicate(timeout=60)
        assert time.monotonic() - began < 20
        assert deploy.returncode
        assert "55P03" in errors
        assert execute(database_url, VALID) == [[False]]

        with deploying(checkout, database_url) as deploy:
            output, errors = deploy.communicate(timeout=60)
        assert output.endswith('"new"\n'), errors
        assert execute(database_url, VALID) == [[True]]


class TestSession:
    def test_is_the_migration_s_own(self, database_url: str) -> None:
        name = database_url.rpartition("/")[2]
        for setting in ("search_path = nowhere", "default_transaction_read_only = on"):
            execute(database_url, f"ALTER ROLE postgres IN DATABASE {name} SET {setting}")
        assert run("upgrade")["after"] == HEAD
        assert run("check")["after"] == HEAD
        schemas = (
            "SELECT DISTINCT schemaname FROM pg_tables WHERE tablename LIKE ANY (ARRAY['token%', 'alembic%'])"
        )
        assert execute(database_url, schemas) == [["public"]]
        run("downgrade", "base")

    def test_waits_for_a_server_that_wakes_up(self, database_url: str) -> None:
        with Proxy(database_url, listening=False) as proxy, use_settings(DATABASE_URL=proxy.url):
            # Connections are accepted by the system, and nothing is said on them yet.
            proxy.server_activate()
            threading.Timer(6, proxy.thread.start).start()
            assert current_revision() is None
