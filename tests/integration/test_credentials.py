"""Passwords and certificates: what is trusted, what is refused, and what a rotation costs."""

import json
import logging
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from urllib.parse import SplitResult, parse_qs, urlsplit

import boto3  # type: ignore[import-untyped]
import certifi
import pg8000
import pytest
import trustme
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificates
from moto import mock_aws

from dev.benchmark.forwarder import Forwarder
from dev.local import ROOT
from shared.database import credentials
from shared.database.connection import connect
from shared.settings import Timeouts
from tests.client import request
from tests.conftest import use_settings
from tests.integration.conftest import assert_unavailable, functions_with
from tests.postgres import execute
from tests.proxy import Fault, Proxy, Scripted, error_response

AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "key-of-the-test",
    "AWS_SESSION_TOKEN": "token-of-the-test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
}
SECRET = "token-bundles/api"  # noqa: S105 - a name
TELLING = "correct-horse"


class Server(NamedTuple):
    """A Postgres that wants a password, and the port of a forwarder to it."""

    admin_url: str
    port: int | None

    def rotate(self, password: str) -> None:
        execute(self.admin_url, f"ALTER ROLE api PASSWORD '{password}'")

    def url(self, password: str = "") -> str:
        return f"postgresql://api:{password}@127.0.0.1:{self.port}/postgres?sslmode=verify-full"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority_file(tmp_path: Path, authority: trustme.CA) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(params=["127.0.0.1"])
def server(request: pytest.FixtureRequest, server_url: str, authority: trustme.CA) -> Iterator[Server]:
    """A server whose certificate is for the host of the parameter, or which has none."""
    certificate = authority.issue_cert(request.param) if request.param else None
    execute(server_url, "CREATE ROLE api LOGIN PASSWORD 'first'")
    # The embedded server itself is built without TLS.
    yield Server(server_url, urlsplit(Forwarder(server_url, certificate).url).port)
    execute(server_url, "DROP ROLE api")


def with_login(url: str, login: str) -> str:
    """Have another login in a URL: a role, and perhaps its password."""
    place = urlsplit(url).netloc.rpartition("@")[2]
    return urlsplit(url)._replace(netloc=f"{login}@{place}").geturl()


def who_is_connected(url: str) -> str:
    """Connect as the functions do, and return as whom."""
    with closing(connect(url, Timeouts())) as connection:
        (user,) = connection.execute_pipelined("SELECT current_user::text", [], prepared=False)
        return user


class TestTls:
    def test_a_trusted_server(self, server: Server, authority_file: str) -> None:
        with use_settings(DATABASE_CA_FILE=authority_file):
            assert who_is_connected(server.url("first")) == "api"

    @pytest.mark.parametrize("trusted", ["another authority", "those of the system"])
    def test_an_authority_that_is_not_trusted(self, server: Server, tmp_path: Path, trusted: str) -> None:
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(other)
        ca_file = str(other) if trusted == "another authority" else None
        with (
            use_settings(DATABASE_CA_FILE=ca_file),
            pytest.raises(OSError, match="VERIFY_FAILED"),
        ):
            who_is_connected(server.url("first"))

    @pytest.mark.parametrize(
        ("server", "why"),
        [("db.example.com", "VERIFY_FAILED"), (None, "refuses SSL")],
        indirect=["server"],
        ids=["certificate of another host", "no TLS"],
    )
    def test_no_such_server_is_trusted(self, server: Server, authority_file: str, why: str) -> None:
        with use_settings(DATABASE_CA_FILE=authority_file), pytest.raises((OSError, pg8000.Error), match=why):
            who_is_connected(server.url("first"))


class TestSecret:
    @pytest.fixture(autouse=True)
    def secrets_manager(self, authority_file: str) -> Iterator[None]:
        with (
            use_settings(
                DATABASE_AUTH="secret", DATABASE_SECRET=SECRET, DATABASE_CA_FILE=authority_file, **AWS
            ),
            mock_aws(),
        ):
            self.client = boto3.client("secretsmanager")
            self.client.create_secret(Name=SECRET, SecretString=json.dumps({"password": "first"}))
            yield
        credentials._secrets.cache_clear()  # noqa: SLF001

    def test_has_the_password(self, server: Server) -> None:
        assert who_is_connected(server.url()) == "api"

    def test_is_read_again_when_the_password_is_refused(self, server: Server) -> None:
        who_is_connected(server.url())
        server.rotate("second")
        self.client.put_secret_value(SecretId=SECRET, SecretString=json.dumps({"password": "second"}))
        assert who_is_connected(server.url()) == "api"

    def test_lags_behind_the_database(self, server: Server) -> None:
        """For a moment of each rotation."""
        who_is_connected(server.url())
        server.rotate("second")
        second = json.dumps({"password": "second"})
        later = threading.Timer(
            1, self.client.put_secret_value, [], {"SecretId": SECRET, "SecretString": second}
        )
        later.start()
        assert who_is_connected(server.url()) == "api"
        later.join()

    @pytest.mark.parametrize("sqlstate", ["28P01", "28000", "08P01"])
    def test_is_read_again_whoever_refuses(self, server: Server, sqlstate: str) -> None:
        """Postgres, RDS Proxy and PgBouncer have words of their own."""
        with Proxy(server.admin_url) as proxy:
            proxy.on_client(b"user\0", Fault.DROP, sqlstate, once=True)
            assert who_is_connected(with_login(proxy.url, "api")) == "api"

    @pytest.mark.parametrize("wrong", ['{"pass": "first"}', "first", '{"password": null}'])
    def test_is_read_again_when_it_had_no_password(self, server: Server, wrong: str) -> None:
        self.client.put_secret_value(SecretId=SECRET, SecretString=wrong)
        with pytest.raises(ConnectionError):
            who_is_connected(server.url())
        right = json.dumps({"password": "first"})
        self.client.put_secret_value(SecretId=SECRET, SecretString=right)
        assert who_is_connected(server.url()) == "api"

    def test_is_not_read_again_when_something_else_is_refused(
        self, server: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        reads: list[bool] = []

        def password(_: SplitResult, *, again: bool = False) -> str:
            reads.append(again)
            return "first"

        monkeypatch.setattr("shared.database.connection.password", password)
        with pytest.raises(pg8000.DatabaseError, match="3D000"):
            who_is_connected(urlsplit(server.url())._replace(path="/nowhere").geturl())
        assert reads == [False]

    def test_is_read_again_for_no_longer_than_connecting_may_take(self, server: Server) -> None:
        server.rotate("second")
        began = time.monotonic()
        with pytest.raises(pg8000.DatabaseError, match="28P01"):
            who_is_connected(server.url())
        assert 1 < time.monotonic() - began < 2 * Timeouts().connect


class TestUnavailable:
    """The caller is told to try again, and the log why, in which no secret ever is."""

    @pytest.fixture(autouse=True)
    def secrets_manager(self, caplog: pytest.LogCaptureFixture) -> Iterator[None]:
        # As Lambda's runtime does when the application's level is DEBUG.
        caplog.set_level(logging.DEBUG)
        self.log = caplog
        with mock_aws(), use_settings(**AWS):
            self.client = boto3.client("secretsmanager")
            yield
        credentials._secrets.cache_clear()  # noqa: SLF001

    def refused(self, why: str, **settings: str) -> None:
        defaults = {"DATABASE_URL": "postgresql://api@127.0.0.1:1/postgres", "DATABASE_SECRET": SECRET}
        with functions_with(**defaults | settings):
            assert_unavailable(request("GET"))
        assert why in self.log.text
        for secret in (TELLING, AWS["AWS_SESSION_TOKEN"], AWS["AWS_SECRET_ACCESS_KEY"], "X-Amz-Signature"):
            assert secret not in self.log.text

    @pytest.mark.parametrize(
        "secret",
        [
            TELLING,
            f'{{"password": {TELLING}',
            f'["{TELLING}"]',
            f'"{TELLING}"',
            f'{{"pass": "{TELLING}"}}',
            '{"password": 1234567}',
            '{"password": null}',
            TELLING.encode(),
            b"\xff" + TELLING.encode(),
        ],
    )
    def test_secret_without_a_password(self, secret: str | bytes) -> None:
        kind = "SecretString" if isinstance(secret, str) else "SecretBinary"
        self.client.create_secret(Name=SECRET, **{kind: secret})
        self.refused("no JSON object whose `password` is a text", DATABASE_AUTH="secret")

    def test_secret_that_is_gone(self) -> None:
        self.refused("ResourceNotFoundException", DATABASE_AUTH="secret")

    @pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "DecryptionFailure"])
    def test_secrets_manager_that_refuses(self, code: str) -> None:
        body = json.dumps({"__type": code}).encode()
        head = f"HTTP/1.1 400 Bad Request\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with Scripted(head + body) as server:
            endpoint = server.url.replace("postgresql://scripted@", "http://").removesuffix("/scripted")
            self.refused(code, DATABASE_AUTH="secret", AWS_ENDPOINT_URL=endpoint)

    @pytest.mark.parametrize("auth", ["secret", "iam"])
    @pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
    def test_environment_without(self, auth: str, missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.delenv(missing)
        self.refused("", DATABASE_AUTH=auth)

    @pytest.mark.parametrize("auth", ["url", "secret", "iam"])
    def test_wrong_password(self, auth: str, server: Server) -> None:
        self.client.create_secret(Name=SECRET, SecretString=json.dumps({"password": TELLING}))
        url = with_login(server.admin_url, f"api:{TELLING}")
        self.refused("'C': '28P01'", DATABASE_AUTH=auth, DATABASE_URL=url)

    def test_no_password(self, server: Server) -> None:
        self.refused("", DATABASE_URL=with_login(server.admin_url, "api"))

    @pytest.mark.parametrize(
        "sqlstate", ["42501", "3D000", "53300", "57P03", "0A000", "28000", "XX000", "22023"]
    )
    def test_any_other_refusal(self, sqlstate: str) -> None:
        with Scripted(error_response(sqlstate)) as server:
            self.refused(f"'C': '{sqlstate}'", DATABASE_URL=server.url)


def test_a_secret_that_is_well_is_not_logged(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    """Of loggers' levels, the root's is what Lambda's runtime sets."""
    caplog.set_level(logging.DEBUG)
    server.rotate(TELLING)
    with mock_aws(), use_settings(DATABASE_AUTH="secret", DATABASE_SECRET=SECRET, **AWS):
        boto3.client("secretsmanager").create_secret(
            Name=SECRET, SecretString=json.dumps({"password": TELLING})
        )
        assert who_is_connected(with_login(server.admin_url, "api")) == "api"
    credentials._secrets.cache_clear()  # noqa: SLF001
    with use_settings(DATABASE_AUTH="iam", **AWS):
        assert credentials.password(urlsplit(server.url()))
    assert "Found credentials" in caplog.text
    assert TELLING not in caplog.text
    assert AWS["AWS_SESSION_TOKEN"] not in caplog.text


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_the_roots_that_come_along_are_well_known_and_valid_for_a_while() -> None:
    known, ours = (
        {certificate.fingerprint(SHA256()): certificate for certificate in load_pem_x509_certificates(pem)}
        for pem in (
            Path(certifi.where()).read_bytes(),
            (ROOT / "shared/database/amazon-roots.pem").read_bytes(),
        )
    )
    assert len(ours.keys() & known.keys()) == len(ours) == 5
    soonest = min(certificate.not_valid_after_utc for certificate in ours.values())
    assert soonest > datetime.now(UTC) + timedelta(days=365)


class TestIamToken:
    def test_is_signed_like_that_of_the_client_for_rds(self) -> None:
        url = urlsplit("postgresql://api@db.example.com:6543/name")
        with use_settings(DATABASE_AUTH="iam", **AWS):
            token = credentials.password(url)
            expected = boto3.client("rds").generate_db_auth_token("db.example.com", 6543, "api")
        assert token
        ours, theirs = (urlsplit(f"https://{signed}") for signed in (token, expected))
        assert (ours.netloc, ours.path) == (theirs.netloc, theirs.path) == ("db.example.com:6543", "/")
        changing = {"X-Amz-Date", "X-Amz-Signature"}
        query, expected_query = parse_qs(ours.query), parse_qs(theirs.query)
        assert query.keys() == expected_query.keys()
        assert {name: query[name] for name in query.keys() - changing} == {
            name: expected_query[name] for name in expected_query.keys() - changing
        }
        assert len(query["X-Amz-Signature"][0]) == 64
