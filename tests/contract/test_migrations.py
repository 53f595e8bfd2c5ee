"""The migrations make what the models describe, and can be taken back."""

import subprocess
import sys
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import text

from dev.local import ROOT
from migrations.runner import make_engine
from shared.database.tables import metadata
from shared.settings import Timeouts
from tests.conftest import CreateDatabase, use_settings
from tests.postgres import connected, execute

CONFIG = Config(toml_file=ROOT / "pyproject.toml")
ADVISORY_LOCK = 7_263_548_190
SHAPE = """
    SELECT 'column', attrelid::regclass::text, attname::text,
           concat_ws(' ', format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid))
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid::regclass::text = ANY(:tables) AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT 'constraint', conrelid::regclass::text, conname::text, pg_get_constraintdef(oid)
    FROM pg_constraint WHERE conrelid::regclass::text = ANY(:tables)
    UNION ALL
    SELECT 'index', indrelid::regclass::text, indexrelid::regclass::text, pg_get_indexdef(indexrelid)
    FROM pg_index WHERE indrelid::regclass::text = ANY(:tables)
    ORDER BY 1, 2, 3
"""

# It is a default of a column, and reads a table, so that none of them can be first.
CURRENT_CURRENCY = (
    "CREATE FUNCTION public.current_currency() RETURNS varchar LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'"
)


@pytest.fixture
def empty_database(create_database: CreateDatabase) -> str:
    return create_database()


def shape(url: str, *, create: bool = False) -> list[Any]:
    engine = make_engine(url, Timeouts())
    try:
        with engine.begin() as connection:
            if create:
                connection.execute(text(CURRENT_CURRENCY))
                metadata.create_all(connection)
            return list(connection.execute(text(SHAPE), {"tables": sorted(metadata.tables)}))
    finally:
        engine.dispose()


def test_there_is_one_head() -> None:
    assert len(ScriptDirectory.from_config(CONFIG).get_heads()) == 1


def test_models_have_not_drifted_from_migrations(migrated_database: str) -> None:
    with use_settings(DATABASE_URL=migrated_database):
        command.check(CONFIG)


def test_migrations_make_every_column_constraint_and_index(
    migrated_database: str, create_database: CreateDatabase
) -> None:
    # `alembic check` does not compare CHECK constraints.
    migrated = shape(migrated_database)
    assert len(migrated) > 10
    assert migrated == shape(create_database(), create=True)


def test_up_down_up(empty_database: str, migrated_database: str) -> None:
    with use_settings(DATABASE_URL=empty_database):
        command.upgrade(CONFIG, "head")
        command.downgrade(CONFIG, "base")
        assert shape(empty_database) == []
        command.upgrade(CONFIG, "head")
    assert shape(empty_database) == shape(migrated_database)


def test_older_bundles_begin_their_history_as_they_are(empty_database: str) -> None:
    with use_settings(DATABASE_URL=empty_database):
        command.upgrade(CONFIG, "0001")
        old = "INSERT INTO token_bundle (name, token_amount, price, version) VALUES ('Old', 1, 2, 5)"
        execute(empty_database, old)
        command.upgrade(CONFIG, "head")
    history = "SELECT version, action, bundle ->> 'name', subject FROM token_bundle_change"
    assert execute(empty_database, history) == [[5, "created", "Old", None]]


def test_runs_take_turns(empty_database: str) -> None:
    with use_settings(DATABASE_URL=empty_database), connected(empty_database) as other_run:
        other_run.run(f"SELECT pg_advisory_lock({ADVISORY_LOCK})")
        run = subprocess.Popen([sys.executable, "-m", "alembic", "upgrade", "head"], cwd=ROOT)
        try:
            with pytest.raises(subprocess.TimeoutExpired):
                run.wait(timeout=3)
            assert shape(empty_database) == []
            other_run.run(f"SELECT pg_advisory_unlock({ADVISORY_LOCK})")
            assert run.wait(timeout=30) == 0
        finally:
            run.kill()
            run.wait()
    assert shape(empty_database)
