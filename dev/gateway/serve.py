"""`python -m dev serve`: the gateway, the processes that serve it, and the database under it."""

import errno
import http.client
import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, suppress
from functools import cached_property
from pathlib import Path
from types import FrameType

from dev.database.commands import migrate, own_database, place
from dev.database.postgres import listens
from dev.gateway.template import Template, local_template
from dev.gateway.throttle import read_throttle
from dev.gateway.tokens import issue_token
from dev.local import ROOT, TEMPLATE, UserError, database_folder
from shared.settings import Settings, settings

START_SECONDS = 60
STOP_SECONDS = 5
POLL_SECONDS = 0.3
POLLS_OF_POSTGRES = 10

REFUSAL = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n"
    b'{"message": "It could not be reloaded: the terminal says why."}'
)

_STARTUP_FAILED = 1
_STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def serve(
    *,
    host: str,
    port: int,
    workers: int,
    reload: bool,
    sample: bool,
    database_host: str | None,
    database_port: int | None,
) -> None:
    """Serve until a signal says stop; nothing that was started is left when this returns."""
    _stop_on_signals()
    began = time.monotonic()

    def tell(what: str) -> None:
        print(f"{time.monotonic() - began:5.1f} s  {what}", flush=True)

    with suppress(KeyboardInterrupt):
        template = local_template()
        _check_settings()
        if read_throttle(os.environ.get("THROTTLE", "")):
            # Each would let through as many.
            workers = 1
        embedded = not os.environ.get("DATABASE_URL")
        with _listening(host, port) as listener:
            url = _url(host, listener)
            data = str(database_folder()) if embedded else place()
            tell(f"Starting Postgres, with its data in {data}" if embedded else f"Connecting to {data}")
            with own_database(database_host, database_port), closing(Workers(listener)) as processes:
                # The first one loads its modules while this process migrates.
                processes.add(1)
                tell(f"Migrating {place()}")
                migrate("upgrade")
                # Imported late: there must be a DATABASE_URL.
                from dev.database import samples

                if sample and (created := samples.create_samples()):
                    tell(f"Created {created} sample bundles")
                processes.add(0 if reload else workers - 1)
                processes.go()
                tell(f"Starting the gateway on {url}")
                _wait_until_answering(listener, processes)
                tell("Ready")
                print(_welcome(url, data, template), flush=True)
                _supervise(processes, template if reload else None, settings.database_url if embedded else "")


def _check_settings() -> None:
    """Raise SettingsError for a wrong setting, which otherwise each function would, in each worker."""
    elsewhere = {"database_url", "database_secret"}
    for name, setting in vars(Settings).items():
        if isinstance(setting, cached_property) and name not in elsewhere:
            getattr(settings, name)


class Workers:
    """The processes that serve the gateway; they end with this one, however it ends."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.lifelines: dict[subprocess.Popen[bytes], int] = {}

    def add(self, count: int) -> None:
        """Start more of them, which load everything and then wait for `go`."""
        for _ in range(count):
            # Its input ends when this process does.
            input_end, lifeline = os.pipe()
            process = subprocess.Popen(
                [sys.executable, "-m", "dev.gateway.worker", str(self.listener.fileno())],
                cwd=ROOT,
                stdin=input_end,
                pass_fds=[self.listener.fileno()],
                # Ctrl-C must reach this process alone, which then stops the workers before the database.
                process_group=0,
            )
            os.close(input_end)
            self.lifelines[process] = lifeline

    def go(self) -> None:
        """Let all of them serve."""
        for lifeline in self.lifelines.values():
            with suppress(BrokenPipeError):
                os.write(lifeline, b"\n")

    def failed_to_start(self) -> bool:
        """Tell whether one ended before it could serve: another try would be in vain."""
        return any(process.poll() == _STARTUP_FAILED for process in self.lifelines)

    def replace_ended(self) -> None:
        """Start one for each that has ended."""
        ended = [process for process in self.lifelines if process.poll() is not None]
        for process in ended:
            os.close(self.lifelines.pop(process))
        self.add(len(ended))
        self.go()

    def close(self) -> None:
        """End all of them, those that take too long by force."""
        for process in self.lifelines:
            process.terminate()
        deadline = time.monotonic() + STOP_SECONDS
        for process in self.lifelines:
            try:
                process.wait(max(0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _listening(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=128)
    except (OSError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            raise UserError(f"Port {port} is in use: give another with --port or PORT.") from error
        reason = str(error).rstrip(".")
        raise UserError(f"Cannot listen on {host}, port {port}: {reason}.") from error


def _wait_until_answering(listener: socket.socket, workers: Workers) -> None:
    host, port = listener.getsockname()[:2]
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and not workers.failed_to_start():
        connection = http.client.HTTPConnection(_reachable(host), port, timeout=1)
        with closing(connection), suppress(OSError, http.client.HTTPException):
            connection.request("GET", "/.well-known/jwks.json")
            connection.getresponse().read()
            return
    raise UserError("The gateway did not start.")


def _url(host: str, listener: socket.socket) -> str:
    name = _reachable(host)
    return f"http://{f'[{name}]' if ':' in name else name}:{listener.getsockname()[1]}"


def _reachable(host: str) -> str:
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 (nothing is bound here)


def _welcome(url: str, data: str, template: Template) -> str:
    readable = (route.path for route in template.routes if route.method == "GET" and "{" not in route.path)
    return f"""
To see and try all of it: {url}/docs
The API answers at {url}, its data is in {data}. Ctrl-C ends everything.

curl -sS {url}{next(readable, "/")} -H 'Authorization: Bearer {issue_token()}'
"""


def _supervise(workers: Workers, watched: Template | None, own_database: str) -> None:
    files = _files(watched)
    for polls in itertools.count():
        time.sleep(POLL_SECONDS)
        if own_database and polls % POLLS_OF_POSTGRES == 0 and not listens(own_database):
            log = f"{database_folder()}.log"
            raise UserError(f"Postgres has ended, perhaps {log} says why: start again, nothing is lost.")
        if watched and (now := _files(watched)) != files:
            files = now
            print("Reloading.", flush=True)
            workers.close()
            _migrate_again()
            workers.replace_ended()
        elif not workers.failed_to_start():
            workers.replace_ended()
        elif watched:
            _refuse(workers.listener)
        else:
            raise UserError("The gateway could not be started again.")


def _refuse(listener: socket.socket) -> None:
    """Answer those who wait, although nothing can until a file is changed once more."""
    # The workers have it so, too.
    listener.settimeout(0)
    with suppress(OSError):
        while True:
            connection, _ = listener.accept()
            with connection, suppress(OSError):
                connection.settimeout(1)
                connection.recv(65_536)
                connection.sendall(REFUSAL)


def _migrate_again() -> None:
    # A migration may be among what has changed, and may be wrong.
    try:
        migrate("upgrade")
    except Exception as error:
        print(f"The database could not be migrated: {error}", file=sys.stderr, flush=True)


def _files(template: Template | None) -> dict[Path, int]:
    """When each file that the gateway reads was changed last."""
    if template is None:
        return {}
    folders = (ROOT / "shared", ROOT / "dev", ROOT / "migrations", template.code_folder)
    changed = {}
    for path in [TEMPLATE, *(path for folder in folders for path in folder.rglob("*.py"))]:
        with suppress(FileNotFoundError):
            changed[path] = path.stat().st_mtime_ns
    return changed


def _stop_on_signals() -> None:
    for number in _STOP_SIGNALS:
        # Whoever starts this with nohup means it.
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(_number: int, _frame: FrameType | None) -> None:
    # A second Ctrl-C must not interrupt the stopping, which takes a few seconds at most.
    for number in _STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
