"""The database that local commands work on: the one of DATABASE_URL, else the embedded one."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal
from urllib.parse import urlsplit

from dev.database.postgres import postgres, running_postgres
from dev.local import ROOT, UserError, database_folder
from shared.settings import settings

NAME = "token_bundles"

MigrateCommand = Literal["upgrade", "downgrade", "current", "check", "revision", "currency"]


@contextmanager
def own_database(also_on: str | None = None, port: int | None = None) -> Iterator[None]:
    """Point DATABASE_URL at a database during the block; without one, start the embedded server."""
    if os.environ.get("DATABASE_URL"):
        yield
        return
    running = postgres(database_folder(), also_on=also_on, port=port)
    with running as server, _environment(_with_database(server)):
        yield


@contextmanager
def any_database() -> Iterator[None]:
    """Do the same, but use the embedded server if another process runs it."""
    server = None if os.environ.get("DATABASE_URL") else running_postgres(database_folder())
    with own_database() if server is None else _environment(_with_database(server)):
        yield


def place() -> str:
    """Where the data are, without any password; raises SettingsError."""
    url = urlsplit(settings.database_url)
    return f"{url.hostname}:{url.port or 5432}{url.path}"


def migrate(command: MigrateCommand, revision: str = "head") -> None:
    """Run a command on the database of DATABASE_URL; a new revision is given by its message."""
    from alembic import command as alembic
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    from migrations.runner import check_database, is_ahead, run

    config = Config(toml_file=ROOT / "pyproject.toml")
    scripts = ScriptDirectory.from_config(config)
    if is_ahead(current := _current_revision(), scripts):
        raise UserError(
            f"The database {place()} is at revision {current}, which this checkout does not know: "
            "check out newer code, or use another database (`python -m dev reset` deletes the local one)."
        )
    try:
        match command:
            case "upgrade":
                check_database()
                alembic.upgrade(config, revision)
            case "downgrade":
                alembic.downgrade(config, revision)
            case "currency":
                run(command, revision)
            case "current" | "check":
                getattr(alembic, command)(config)
            case "revision":
                head = scripts.get_current_head() or "0"
                alembic.revision(config, revision, autogenerate=True, rev_id=f"{int(head) + 1:04}")
    except (CommandError, TimeoutError) as error:
        raise UserError(str(error)) from error


def _current_revision() -> str | None:
    from sqlalchemy.exc import DBAPIError

    from migrations.runner import current_revision

    try:
        return current_revision()
    except (DBAPIError, OSError) as error:
        raise UserError(
            f"The database {place()} cannot be used ({reason(error)}): "
            "correct DATABASE_URL, or leave it out for a database of this checkout."
        ) from error


def reason(error: Exception) -> str:
    """Say in a few words why the database refuses."""
    cause = getattr(error, "orig", None) or error
    if isinstance(cause.__cause__, OSError):
        return cause.__cause__.strerror or str(cause.__cause__)
    told = cause.args[0] if cause.args else ""
    return str(told.get("M")) if isinstance(told, dict) else str(cause).rstrip(".")


def _with_database(server_url: str) -> str:
    """Create the database on the embedded server when it is missing, and return its URL."""
    import pg8000.native

    server = urlsplit(server_url)
    with pg8000.native.Connection(
        server.username or "",
        server.hostname or "",
        "postgres",
        server.port or 5432,
        server.password,
        ssl_context=False,
    ) as connection:
        if not connection.run("SELECT 1 FROM pg_database WHERE datname = :name", name=NAME):
            connection.run(f"CREATE DATABASE {NAME}")
    return server._replace(path=f"/{NAME}").geturl()


@contextmanager
def _environment(database_url: str) -> Iterator[None]:
    os.environ["DATABASE_URL"] = database_url
    try:
        yield
    finally:
        del os.environ["DATABASE_URL"]
