"""What a person at the terminal reads: how the gateway starts, what it logs, and what goes wrong."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.client import TEMPLATE
from tests.e2e.serving import BUNDLES, ENVIRONMENT, ROOT, Gateway, run_dev
from tests.postgres import connected, execute, server_pid
from tests.waiting import until

Start = Callable[..., Gateway]
TIMES = r"\d\d:\d\d:\d\d"
# A sitecustomize, which Python imports first.
NOT_INSTALLED = """
import sys

class NotInstalled:
    def find_spec(name, path=None, target=None):
        if name in {absent}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, NotInstalled)
"""
OUR_BUG = "Something went wrong on our side: please report it, with the request id"


def assert_sentence(expected: str, ended: subprocess.CompletedProcess[str]) -> None:
    assert ended.returncode == 1
    assert expected in ended.stderr
    assert len(ended.stderr.splitlines()) == 1, ended.stderr


class TestStart:
    def test_it_says_what_is_started_where_and_how_long_it_took(self, start: Start) -> None:
        gateway = start("--workers", "1")

        lines = gateway.output.read_text().splitlines()
        told = [re.fullmatch(r" +(\d+\.\d) s  (.+)", line) for line in lines[:5]]
        assert [match[2] for match in told if match] == [
            f"Starting Postgres, with its data in {gateway.folder / 'postgres'}",
            f"Migrating {gateway.database_url.partition('@')[2]}",
            "Created 12 sample bundles",
            f"Starting the gateway on {gateway.url}",
            "Ready",
        ]
        times = [float(match[1]) for match in told if match]
        assert times == sorted(times)
        assert 0 < times[-1] < 60
        password = (gateway.folder / "postgres.password").read_text()
        assert password not in gateway.output.read_text()

    def test_what_make_dev_installs_is_enough(self, start: Start, tmp_path: Path) -> None:
        export = "-m uv export --frozen --quiet --no-default-groups --group serve --no-hashes --no-annotate"
        told = subprocess.run(
            [sys.executable, *export.split()], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        installed = set(re.findall("^[a-z0-9-]+", told, re.MULTILINE))
        absent = {
            module
            for module, packages in packages_distributions().items()
            if not installed & {package.lower().replace("_", "-") for package in packages}
        }
        assert {"httpx", "pytest"} < absent
        (tmp_path / "sitecustomize.py").write_text(NOT_INSTALLED.format(absent=absent))
        hiding = {"PYTHONPATH": str(tmp_path)}

        gateway = start(**hiding)

        token = run_dev(gateway.folder, "token", **hiding).stdout.strip()
        with gateway.client(token) as client:
            assert {client.get(path).status_code for path in (BUNDLES, "/docs", "/openapi.json")} == {200}
        for command in (["load", "1"], ["migrate"]):
            assert run_dev(gateway.folder, *command, **hiding).returncode == 0

    def test_psql_is_given_the_password_where_nobody_else_sees_it(
        self, gateway: Gateway, tmp_path: Path
    ) -> None:
        program = tmp_path / "psql"
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$PGPASSWORD" "$@"\n')
        program.chmod(0o755)
        told = run_dev(gateway.folder, "psql", "-c", "SELECT 1", PATH=f"{tmp_path}:{os.environ['PATH']}")
        password, url, *arguments = told.stdout.splitlines()
        assert password == (gateway.folder / "postgres.password").read_text()
        assert url == gateway.database_url.replace(f":{password}", "")
        assert arguments == ["-c", "SELECT 1"]


class TestLog:
    def test_a_request_is_a_line(self, start: Start) -> None:
        gateway = start("--workers", "1", "--no-sample")
        with gateway.client(gateway.token()) as client:
            client.get(BUNDLES, params={"q": "ä\n", "page": "1"})
            client.get(f"{BUNDLES}/%0A%1B[31m")
            client.get("/nowhere")
            client.get(BUNDLES, headers={"authorization": ""})
            for arguments in (["--expires-in", "-1"], ["--scope", "other"]):
                client.get(BUNDLES, headers={"authorization": f"Bearer {gateway.token(*arguments)}"})
            client.post(BUNDLES, json={"name": "x", "token_amount": 1, "price": "1.234"})
            execute(gateway.database_url, "ALTER TABLE token_bundle RENAME TO gone")
            request_id = client.get(BUNDLES).json()["request_id"]

        # The answer is there before its line.
        until(lambda: " → 500" in gateway.output.read_text())
        _, _, log = gateway.output.read_text().partition("curl ")
        lines = log.splitlines()[2:]
        pattern = rf"{TIMES} (.*? → .*?)(?: \(request (\S+)\))?, \d+ ms"
        told = [match for line in lines if (match := re.fullmatch(pattern, line))]
        assert [match[1] for match in told] == [
            f"INFO    GET {BUNDLES}?q=%C3%A4%0A&page=1 → 200",
            f"INFO    GET {BUNDLES}/%0A%1B%5B31m → 404 It does not exist, or not any more",
            "INFO    GET /nowhere → 404 Not Found",
            f"INFO    GET {BUNDLES} → 401 Unauthorized",
            f"INFO    GET {BUNDLES} → 401 signature has expired",
            f"INFO    GET {BUNDLES} → 403 Forbidden",
            f"INFO    POST {BUNDLES} → 400 price: must have at most 2 decimals",
            f"ERROR   GET {BUNDLES} → 500 {OUR_BUG}",
        ]
        assert told[0][2] is None
        assert told[-1][2] == request_id
        failed = lines[len(told) - 1 : -1]
        assert re.fullmatch(
            rf"{TIMES} ERROR   {OUR_BUG}\. request_id={re.escape(request_id)}",
            failed[0],
        )
        assert failed[1] == "Traceback (most recent call last):"
        assert any("shared/token_bundles/repository.py" in line for line in failed)

    def test_a_deployed_function_logs_json(self) -> None:
        function = TEMPLATE.routes[0].function
        script = f"""
from {function.module} import handler
from tests.client import event
handler(event("GET", {BUNDLES!r}), None)
"""
        ended = subprocess.run(
            [sys.executable, "-c", script],
            cwd=ROOT,
            env=ENVIRONMENT | {"PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert re.fullmatch(r'\{"level":"INFO",.*"message":"answered",.*\}\n', ended.stdout)


class TestPostgres:
    def test_when_it_has_ended_so_does_the_gateway_and_says_why(self, start: Start) -> None:
        gateway = start("--workers", "1", "--no-sample")
        os.kill(server_pid(gateway.folder / "postgres"), signal.SIGKILL)
        assert gateway.process.wait(timeout=60) == 1
        told = gateway.output.read_text().splitlines()[-1]
        assert told.startswith(f"Postgres has ended, perhaps {gateway.folder / 'postgres.log'} says why: ")


class TestLoad:
    def test_beside_a_gateway(self, start: Start) -> None:
        gateway = start("--workers", "1", "--no-sample")

        ended = run_dev(gateway.folder, "load", "1500")

        assert ended.returncode == 0, ended.stderr
        assert re.search(
            r"^1,500 bundles were added to 127\.0\.0\.1:\d+/token_bundles", ended.stdout, re.MULTILINE
        )
        with gateway.client(gateway.token()) as client:
            assert client.get(BUNDLES).json()["total"] == 1500
        assert "\n0 bundles were added" in f"\n{run_dev(gateway.folder, 'load', '1500').stdout}"

    def test_a_full_disk(self, start: Start) -> None:
        gateway = start("--workers", "1", "--no-sample")
        execute(
            gateway.database_url,
            """CREATE FUNCTION fill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                RAISE EXCEPTION 'could not extend file: No space left on device' USING ERRCODE = '53100';
            END $$""",
            "CREATE TRIGGER fill AFTER INSERT ON token_bundle EXECUTE FUNCTION fill()",
        )
        assert_sentence(
            "The database takes no more, could not extend file: No space left on device: what is",
            run_dev(gateway.folder, "load", "10"),
        )

    def test_ctrl_c(self, start: Start) -> None:
        gateway = start("--workers", "1", "--no-sample")
        with (
            connected(gateway.database_url) as database,
            subprocess.Popen(
                [sys.executable, "-m", "dev", "load", "1000000"],
                cwd=ROOT,
                env=ENVIRONMENT | {"DEV_FOLDER": str(gateway.folder)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,
            ) as loading,
        ):
            count = "SELECT count(*) FROM token_bundle"
            until(lambda: database.run(count) != [[0]])
            loading.send_signal(signal.SIGINT)
            output, errors = loading.communicate(timeout=30)

            assert loading.returncode == 130
            assert "the same command goes on from there" in output
            assert errors == ""
            ((bundles,),) = database.run(count)
            assert database.run("SELECT count(*) FROM token_bundle_change") == [[bundles]]
            assert 0 < bundles < 1_000_000


class TestSentences:
    def test_port_in_use(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            assert_sentence(f"Port {port} is in use", run_dev(tmp_path, "serve", PORT=str(port)))

    def test_data_in_use(self, gateway: Gateway) -> None:
        for arguments in (("serve", "--port", "0"), ("reset",)):
            assert_sentence(str(gateway.folder), run_dev(gateway.folder, *arguments))

    @pytest.mark.parametrize(
        "url",
        ["nonsense", "postgresql://me:secret@127.0.0.1:1/nothing", "postgresql://me:secret@[::1/nothing"],
    )
    def test_no_such_server(self, tmp_path: Path, url: str) -> None:
        for arguments in (("serve", "--port", "0"), ("migrate",)):
            ended = run_dev(tmp_path, *arguments, DATABASE_URL=url)
            assert_sentence("DATABASE_URL", ended)
            assert "secret" not in ended.stderr

    def test_no_such_database(self, gateway: Gateway) -> None:
        url = gateway.database_url + "_of_others"

        ended = run_dev(gateway.folder, "serve", "--port", "0", DATABASE_URL=url)

        assert_sentence('(database "token_bundles_of_others" does not exist): correct DATABASE_URL', ended)

    def test_a_downgrade_to_nowhere(self, tmp_path: Path) -> None:
        assert_sentence("A downgrade needs", run_dev(tmp_path, "migrate", "downgrade"))

    def test_migrations_beside_a_gateway(self, gateway: Gateway) -> None:
        assert "(head)" in run_dev(gateway.folder, "migrate", "current").stdout
        assert run_dev(gateway.folder, "migrate", "check").returncode == 0

    @pytest.mark.parametrize(
        ("name", "value"),
        [("DEFAULT_CURRENCY", "euro"), ("LOG_LEVEL", "loud"), ("DATABASE_STATEMENT_TIMEOUT", "soon")],
    )
    def test_a_wrong_setting(self, tmp_path: Path, name: str, value: str) -> None:
        ended = run_dev(tmp_path, "serve", "--port", "0", **{name: value})

        assert_sentence(f"{name} must be", ended)

    def test_a_database_that_newer_code_has_migrated(self, start: Start) -> None:
        gateway = start("--workers", "1", "--no-sample")
        execute(gateway.database_url, "UPDATE alembic_version SET version_num = '9999'")

        for arguments in (("serve", "--port", "0"), ("migrate", "current"), ("load", "1")):
            ended = run_dev(gateway.folder, *arguments, DATABASE_URL=gateway.database_url)
            assert_sentence("is at revision 9999, which this checkout does not know: check out newer", ended)
