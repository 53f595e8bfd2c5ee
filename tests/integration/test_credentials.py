"""Passwords and certificates: what is trusted, what is refused, and what a rotation costs."""

import json
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
from dev.database.postgres import postgres
from dev.local import ROOT
from shared.database import credentials
from shared.database.connection import connect
from shared.settings import Timeouts
from tests.conftest import use_settings
from tests.postgres import execute

AWS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_SESSION_TOKEN": "session",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_REGION": "eu-central-1",
}
SECRET = "token-bundles/api"  # noqa: S105 - a name


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
def server(request: pytest.FixtureRequest, tmp_path: Path, authority: trustme.CA) -> Iterator[Server]:
    """Run a server whose certificate is for the host of the parameter, or which has none."""
    certificate = authority.issue_cert(request.param) if request.param else None
    with postgres(tmp_path / "data", durable=False) as url:
        execute(url, "CREATE ROLE api LOGIN PASSWORD 'first'")
        # The embedded server itself is built without TLS.
        yield Server(url, urlsplit(Forwarder(url, certificate).url).port)


def who_is_connected(url: str) -> str:
    """Connect as the functions do, and return as whom."""
    with closing(connect(url, Timeouts())) as connection:
        return str(connection.execute_pipelined("SELECT current_user::text", [], prepared=False))


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

    def test_is_read_again_only_once(self, server: Server) -> None:
        server.rotate("second")
        with pytest.raises(pg8000.DatabaseError, match="28P01"):
            who_is_connected(server.url())


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
