"""Passwords and certificates: what is trusted, what is refused, and what a rotation costs."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import boto3  # type: ignore[import-untyped]
import certifi
import pytest
import trustme
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509 import load_pem_x509_certificates
from moto import mock_aws
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from dev.database.postgres import postgres
from dev.local import ROOT
from migrations.runner import make_engine
from shared.database import credentials
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


class TlsServer:
    """A Postgres that wants a password, behind TLS: the embedded server is built without it."""

    def __init__(self, folder: Path, admin_url: str, certificate: trustme.LeafCert | None) -> None:
        self.admin_url = admin_url
        self.upstream = ("127.0.0.1", urlsplit(admin_url).port)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if certificate else None
        if certificate and self.context:
            certificate.configure_cert(self.context)
        rules = "host all postgres all trust\nhost all all all scram-sha-256\n"
        (folder / "pg_hba.conf").write_text(rules)
        execute(admin_url, "CREATE ROLE api LOGIN", "SELECT pg_reload_conf()")
        self.rotate("first")
        self.listener = socket.create_server(("127.0.0.1", 0))
        threading.Thread(target=self._accept, daemon=True).start()

    def rotate(self, password: str) -> None:
        execute(self.admin_url, f"ALTER ROLE api PASSWORD '{password}'")

    def url(self, password: str = "") -> str:
        port = self.listener.getsockname()[1]
        return f"postgresql://api:{password}@127.0.0.1:{port}/postgres?sslmode=verify-full"

    def close(self) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        """Answer the request for TLS, and pass everything else on."""
        with suppress(OSError), client:
            client.recv(8)
            client.sendall(b"S" if self.context else b"N")
            if self.context:
                with (
                    self.context.wrap_socket(client, server_side=True) as encrypted,
                    socket.create_connection(self.upstream) as server,
                ):
                    threading.Thread(target=_pump, args=[server, encrypted], daemon=True).start()
                    _pump(encrypted, server)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def authority_file(tmp_path: Path, authority: trustme.CA) -> str:
    path = tmp_path / "authority.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture(params=["127.0.0.1"])
def server(request: pytest.FixtureRequest, tmp_path: Path, authority: trustme.CA) -> Iterator[TlsServer]:
    """Run a server whose certificate is for the host of the parameter, or which has none."""
    certificate = authority.issue_cert(request.param) if request.param else None
    with (
        postgres(tmp_path / "data", durable=False) as url,
        closing(TlsServer(tmp_path / "data", url, certificate)) as server,
    ):
        yield server


def who_is_connected(url: str) -> str:
    """Connect as the functions do, and return as whom."""
    engine = make_engine(url, Timeouts())
    try:
        with engine.connect() as connection:
            return str(connection.scalar(text("SELECT current_user")))
    finally:
        engine.dispose()


class TestTls:
    def test_a_trusted_server(self, server: TlsServer, authority_file: str) -> None:
        with use_settings(DATABASE_CA_FILE=authority_file):
            assert who_is_connected(server.url("first")) == "api"

    @pytest.mark.parametrize("trusted", ["another authority", "those of the system"])
    def test_an_authority_that_is_not_trusted(self, server: TlsServer, tmp_path: Path, trusted: str) -> None:
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
    def test_no_such_server_is_trusted(self, server: TlsServer, authority_file: str, why: str) -> None:
        with use_settings(DATABASE_CA_FILE=authority_file), pytest.raises((OSError, DBAPIError), match=why):
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

    def test_has_the_password(self, server: TlsServer) -> None:
        assert who_is_connected(server.url()) == "api"

    def test_is_read_again_when_the_password_is_refused(self, server: TlsServer) -> None:
        who_is_connected(server.url())
        server.rotate("second")
        self.client.put_secret_value(SecretId=SECRET, SecretString=json.dumps({"password": "second"}))
        assert who_is_connected(server.url()) == "api"

    def test_is_read_again_only_once(self, server: TlsServer) -> None:
        server.rotate("second")
        with pytest.raises(DBAPIError) as refused:
            who_is_connected(server.url())
        assert "28P01" in str(refused.value)


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
