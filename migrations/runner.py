"""Runs Alembic for those who deploy."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alembic import command as alembic
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, NullPool, create_engine, event, make_url, text

from migrations.currency import change_currency, check_currency
from shared.database.connection import connect
from shared.settings import Timeouts, settings

COMMANDS = ("upgrade", "downgrade", "current", "check", "currency")
# A paused Aurora takes 15 seconds to wake up.
TIMEOUTS = Timeouts(connect=30, statement=300, lock=5)

# Some of which only newer servers know.
NO_OTHER_LIMITS = """
    SELECT set_config(name, '0', false) FROM pg_settings
    WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')
"""


def run(command: str, argument: str | None = None) -> dict[str, Any]:
    """Run a command on a revision or currency; tell the revisions before and after, and what Alembic said.

    A database that is ahead of the code, because a rollback deploys older code, is left as it is.
    Raises ValueError for what is no command, and what Alembic and the database raise.
    """
    if command not in COMMANDS:
        raise ValueError(f"The command must be one of {', '.join(COMMANDS)}, not {command!r}.")
    if command == "downgrade" and not argument:
        raise ValueError("A downgrade needs the revision to go back to.")
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    if command == "upgrade":
        check_database()
    before = current_revision()
    with _logged() as log:
        if command == "upgrade" and is_ahead(before, ScriptDirectory.from_config(config)):
            ahead = "The database is ahead: it is at %s, which this code does not know. Nothing is done."
            logging.getLogger("alembic").warning(ahead, before)
        elif command in {"upgrade", "downgrade"}:
            getattr(alembic, command)(config, argument or "head")
        elif command == "check":
            alembic.check(config)
        elif command == "currency":
            with connected() as connection, connection.begin():
                change_currency(connection, argument)
    output = log.getvalue().splitlines()
    return {"command": command, "before": before, "after": current_revision(), "output": output}


def make_engine(database_url: str, timeouts: Timeouts) -> Engine:
    """Put SQLAlchemy on connections that are made as the functions make theirs."""

    def creator() -> Any:
        connection = connect(database_url, timeouts)
        # Whatever database and role are set to.
        connection.execute_simple("SET search_path = public; SET default_transaction_read_only = off")
        connection.execute_simple(NO_OTHER_LIMITS)
        return connection

    url = make_url(database_url).set(drivername="postgresql+pg8000", query={})
    engine = create_engine(url, creator=creator, poolclass=NullPool, hide_parameters=True)

    @event.listens_for(engine, "set_connection_execution_options")
    def end_hidden_transaction(connection: Connection, _: object) -> None:
        # Asked for the isolation level by `autocommit_block()`, pg8000 has begun one.
        if not connection.in_transaction():
            connection.connection.rollback()

    return engine


def connected() -> Connection:
    """Connect to the database of the settings, with the time that migrations have."""
    return make_engine(settings.database_url, TIMEOUTS).connect()


def current_revision() -> str | None:
    """Ask the database for its revision; None before the first migration."""
    with connected() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def check_database() -> None:
    """Raise CommandError, with what to do, for a database that the functions could not use."""
    with connected() as connection:
        encoding = connection.scalar(text("SHOW server_encoding"))
        if encoding != "UTF8":
            raise CommandError(
                f"The database has the encoding {encoding}, in which not every name can be stored: copy its "
                "data into one made by CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'."
            )
        check_currency(connection)


def is_ahead(revision: str | None, scripts: ScriptDirectory) -> bool:
    """Tell whether a database's revision is one that only newer code knows."""
    return revision is not None and revision not in {script.revision for script in scripts.walk_revisions()}


@contextmanager
def _logged() -> Iterator[io.StringIO]:
    logger, stream = logging.getLogger("alembic"), io.StringIO()
    handler = logging.StreamHandler(stream)
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield stream
    finally:
        logger.removeHandler(handler)
