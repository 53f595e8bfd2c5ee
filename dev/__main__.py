"""The command line: `python -m dev --help`."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import unquote, urlsplit

from dev.database import commands
from dev.database.postgres import PostgresInUseError, PostgresStartError, running_postgres
from dev.local import UserError, database_folder
from shared.settings import SettingsError

GO_ON = "what is finished stays, and the same command goes on from there."


def main() -> int:
    """Run a command; what went wrong is one sentence for the person at the terminal."""
    parser = _parser()
    arguments, others = parser.parse_known_args()
    given = vars(arguments)
    command = given.pop("run")
    if command is psql:
        given["arguments"] = others
    elif others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        status: int | None = command(**given)
    except (UserError, SettingsError, PostgresInUseError, PostgresStartError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev", description="Everything for working on this API.")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(command: Callable[..., int | None], **options: Any) -> Callable[..., argparse.Action]:
        added: argparse.ArgumentParser = subparsers.add_parser(
            command.__name__, help=command.__doc__, description=command.__doc__, **options
        )
        added.set_defaults(run=command)
        return added.add_argument

    option = add(serve)
    option("--host", default="127.0.0.1")
    option("--port", type=int, default=os.environ.get("PORT") or "3000", help="0 for any free port")
    option("--workers", type=_positive, default=2, help="processes that answer requests")
    option("--reload", action="store_true", help="one worker, started anew when a file changes")
    option("--no-sample", dest="sample", action="store_false", help="leave an empty database empty")
    option("--database-port", type=_positive, help="of the embedded database, instead of a free one")
    listens = "where the embedded database also listens, for containers"
    option("--database-host", metavar="ADDRESS", help=listens)

    option = add(token, argument_default=argparse.SUPPRESS)
    option("--scope", help="scopes with blanks between them")
    option("--subject")
    option("--expires-in", type=int, metavar="SECONDS")

    option = add(migrate)
    choices = ["upgrade", "downgrade", "current", "check", "revision", "currency"]
    option("command", nargs="?", default="upgrade", choices=choices)
    revisions = "head for an upgrade, needed for a downgrade; of a new revision its message; or the currency"
    option("revision", nargs="?", help=revisions)

    option = add(load)
    option("number", type=_positive, help="how many there shall be; from an earlier run they stay")

    add(openapi)
    add(psql, add_help=False)
    add(reset)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)


def serve(**options: Any) -> None:
    """Run the API on this machine, with a database of its own."""
    from dev.gateway import serve

    serve.serve(**options)


def token(**wanted: Any) -> None:
    """Print a token that a gateway of this checkout accepts."""
    from dev.gateway.tokens import issue_token

    print(issue_token(**wanted))


def migrate(command: commands.MigrateCommand, revision: str | None) -> None:
    """Run the migrations."""
    if command == "downgrade" and not revision:
        raise UserError("A downgrade needs the revision to go back to, such as -1 or base.")
    if command == "revision" and not revision:
        raise UserError("A new revision needs a message that says what it does.")
    if command == "currency" and not revision:
        raise UserError("The currency that all prices shall count as being in is missing, such as EUR.")
    with commands.any_database():
        commands.migrate(command, revision or "head")
        if command in {"upgrade", "downgrade"}:
            commands.migrate("current")


def openapi() -> None:
    """Write openapi.json and tests/events anew, from what the functions say."""
    from dev import sample_events
    from dev.openapi import document, write

    described = document()
    write(described)
    sample_events.write(described)


def load(number: int) -> None:
    """Fill the database with made-up bundles."""
    import pg8000
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
    with commands.any_database():
        commands.migrate("upgrade")
        from dev.database import samples

        began = time.monotonic()
        try:
            with Progress(*columns) as progress:
                task = progress.add_task("Bundles", total=number)
                added = samples.load(number, partial(progress.advance, task))
        except KeyboardInterrupt:
            print(f"Stopped: {GO_ON}")
            raise
        except (OSError, pg8000.Error) as error:
            raise UserError(f"The database takes no more, {commands.reason(error)}: {GO_ON}") from error
        seconds = time.monotonic() - began
        print(f"{added:,} bundles were added to {commands.place()} in {seconds:.1f} seconds.")


def psql(arguments: list[str]) -> int:
    """Open a shell on the database, with psql's own arguments."""
    program = shutil.which("psql")
    if program is None:
        raise UserError("psql is not installed: it comes with PostgreSQL's client package.")
    with commands.any_database():
        # Everybody on the machine sees the arguments of a process.
        url = urlsplit(os.environ["DATABASE_URL"])
        user, _, host = url.netloc.rpartition("@")
        bare = url._replace(netloc=f"{user.partition(':')[0]}@{host}").geturl()
        environment = os.environ | ({"PGPASSWORD": unquote(url.password)} if url.password else {})
        # Ctrl-C is for psql, which cancels a query with it.
        signal.signal(signal.SIGINT, lambda *_: None)
        return subprocess.run([program, bare, *arguments], env=environment, check=False).returncode


def reset() -> None:
    """Delete the data of the embedded database."""
    folder = database_folder()
    if running_postgres(folder):
        raise UserError(f"The database in {folder} is in use: stop the process that runs it first.")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
