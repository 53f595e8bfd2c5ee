"""How Alembic reaches the database: one run at a time, and none that keeps others waiting for long."""

import importlib
import pkgutil
import time

from alembic import context
from sqlalchemy import Connection, text

import shared
from migrations.runner import connected
from shared.database.tables import metadata

ADVISORY_LOCK = 7_263_548_190  # any number, the same for every run
LOCK_DEADLINE_SECONDS = 60


def run_migrations() -> None:
    """Run what Alembic was asked to, each migration in a transaction of its own."""
    register_tables()
    with connected() as connection:
        take_turns(connection)
        context.configure(
            connection=connection,
            target_metadata=metadata,
            transaction_per_migration=True,
            compare_server_default=True,
        )
        with context.begin_transaction():
            context.run_migrations()


def register_tables() -> None:
    """Import the tables of each resource, a package in `shared`."""
    for module in pkgutil.walk_packages(shared.__path__, "shared."):
        if module.name.endswith(".tables"):
            importlib.import_module(module.name)


def take_turns(connection: Connection) -> None:
    """Take the lock of the session, kept while it is connected: a transaction's would end with the first.

    It is polled, because a blocked `pg_advisory_lock` would hold a snapshot that `CREATE INDEX CONCURRENTLY`
    in the run which has the lock waits for.
    """
    deadline = time.monotonic() + LOCK_DEADLINE_SECONDS
    while not connection.scalar(text("SELECT pg_try_advisory_lock(:key)"), {"key": ADVISORY_LOCK}):
        connection.rollback()
        if time.monotonic() > deadline:
            raise TimeoutError(f"Another migration has been running for {LOCK_DEADLINE_SECONDS} seconds.")
        time.sleep(0.2)
    connection.commit()


run_migrations()
