"""The command line: `python -m dev --help`."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dev.database.postgres import PostgresInUseError, PostgresStartError
from dev.local import UserError, database_folder
from shared.settings import SettingsError


def main() -> int:
    """Run a command; what went wrong is one sentence for the person at the terminal."""
    parser = _parser()
    arguments, others = parser.parse_known_args()
    if arguments.run is _psql:
        arguments.others = others
    elif others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    try:
        status: int | None = arguments.run(arguments)
    except (UserError, SettingsError, PostgresInUseError, PostgresStartError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m dev", description="Everything for working on this API.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    serve = commands.add_parser("serve", help="run the API on this machine, with a database of its own")
    serve.add_argument("--host", default="127.0.0.1")
    serve.add_argument(
        "--port", type=int, default=os.environ.get("PORT") or "3000", help="0 for any free port"
    )
    serve.add_argument("--workers", type=_positive, default=2, help="processes that answer requests")
    serve.add_argument("--reload", action="store_true", help="one worker, started anew when a file changes")
    serve.add_argument("--no-sample", action="store_true", help="leave an empty database empty")
    serve.add_argument(
        "--database-port", type=_positive, help="of the embedded database, instead of a free one"
    )
    serve.add_argument(
        "--database-host",
        metavar="ADDRESS",
        help="where the embedded database also listens, for containers: it asks for no password",
    )
    serve.set_defaults(run=_serve)

    token = commands.add_parser("token", help="print a token that a gateway of this checkout accepts")
    token.add_argument("--scope", help="scopes with blanks between them")
    token.add_argument("--subject")
    token.add_argument("--expires-in", type=int, metavar="SECONDS")
    token.set_defaults(run=_token)

    migrate = commands.add_parser("migrate", help="run the migrations")
    migrate.add_argument(
        "command",
        nargs="?",
        default="upgrade",
        choices=["upgrade", "downgrade", "current", "check", "revision"],
    )
    migrate.add_argument(
        "revision",
        nargs="?",
        help="head for an upgrade, needed for a downgrade; of a new revision its message",
    )
    migrate.set_defaults(run=_migrate)

    openapi = commands.add_parser("openapi", help="write openapi.json anew, from what the handlers say")
    openapi.set_defaults(run=_openapi)

    load = commands.add_parser("load", help="fill the database with made-up bundles")
    load.add_argument("number", type=_positive, help="how many there shall be; from an earlier run they stay")
    load.set_defaults(run=_load)

    psql = commands.add_parser(
        "psql", help="a shell on the database, with psql's own arguments", add_help=False
    )
    psql.set_defaults(run=_psql)

    reset = commands.add_parser("reset", help="delete the data of the embedded database")
    reset.set_defaults(run=_reset)
    return parser


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return int(text)


def _serve(arguments: argparse.Namespace) -> None:
    from dev.gateway.serve import Options, serve

    serve(
        Options(
            host=arguments.host,
            port=arguments.port,
            workers=arguments.workers,
            reload=arguments.reload,
            sample=not arguments.no_sample,
            database_host=arguments.database_host,
            database_port=arguments.database_port,
        )
    )


def _token(arguments: argparse.Namespace) -> None:
    from dev.gateway.tokens import issue_token

    given = {"scope": arguments.scope, "subject": arguments.subject, "expires_in": arguments.expires_in}
    print(issue_token(**{name: value for name, value in given.items() if value is not None}))


def _migrate(arguments: argparse.Namespace) -> None:
    from dev.database.commands import any_database, migrate

    if arguments.command == "downgrade" and not arguments.revision:
        raise UserError("A downgrade needs the revision to go back to, such as -1 or base.")
    if arguments.command == "revision" and not arguments.revision:
        raise UserError("A new revision needs a message that says what it does.")
    with any_database():
        migrate(arguments.command, arguments.revision or "head")
        if arguments.command in {"upgrade", "downgrade"}:
            migrate("current")


def _openapi(_arguments: argparse.Namespace) -> None:
    from dev.openapi import COMMITTED, text

    COMMITTED.write_text(text())


def _load(arguments: argparse.Namespace) -> None:
    from rich.progress import MofNCompleteColumn, Progress, TimeRemainingColumn

    from dev.database.commands import any_database, migrate, place

    with any_database():
        migrate("upgrade")
        from dev.database import samples

        columns = (*Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeRemainingColumn())
        began = time.monotonic()
        with _between_steps() as step, Progress(*columns) as progress:
            task = progress.add_task("Bundles", total=arguments.number)

            def tell(more: int) -> None:
                progress.advance(task, more)
                step()

            added = samples.load(arguments.number, tell)
        seconds = time.monotonic() - began
        print(f"{added:,} bundles were added to {place()} in {seconds:.1f} seconds.")


@contextmanager
def _between_steps() -> Iterator[Callable[[], None]]:
    """Let Ctrl-C wait for the end of a step; a second one does not wait."""
    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)

    def step() -> None:
        if interrupted:
            print("Stopped: what is finished stays, and the same command goes on from there.")
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield step
    finally:
        signal.signal(signal.SIGINT, before)


def _psql(arguments: argparse.Namespace) -> int:
    from dev.database.commands import any_database

    psql = shutil.which("psql")
    if psql is None:
        raise UserError("psql is not installed: it comes with PostgreSQL's client package.")
    with any_database():
        # Ctrl-C is for psql, which cancels a query with it.
        signal.signal(signal.SIGINT, lambda *_: None)
        command = [psql, os.environ["DATABASE_URL"], *arguments.others]
        return subprocess.run(command, check=False).returncode


def _reset(_arguments: argparse.Namespace) -> None:
    from dev.database.postgres import running_postgres

    folder = database_folder()
    if running_postgres(folder):
        raise UserError(f"The database in {folder} is in use: stop the process that runs it first.")
    shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
