"""Tokens of the local issuer, and which tokens the authorizer lets in."""

import hmac
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from dev.gateway import tokens
from dev.gateway.authorizer import JwtAuthorizer, UnauthorizedError, token_scopes
from dev.gateway.template import Authorizer
from dev.local import AUDIENCE, ISSUER
from tests.client import TEMPLATE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("DEV_FOLDER", str(folder))
    return folder


@pytest.fixture
def authorizer() -> JwtAuthorizer:
    return JwtAuthorizer(Authorizer(ISSUER, (AUDIENCE, "another-client")), tokens.signing_key().public_key())


def signed(algorithm: str = "RS256", key: Any = None, kid: str | None = None, **changes: Any) -> str:
    claims = jwt.decode(tokens.issue_token(), options={"verify_signature": False}) | changes
    ours = tokens.signing_key()
    given = {name: value for name, value in claims.items() if value is not None}
    headers = {"kid": kid or tokens.key_id(ours.public_key())}
    return jwt.encode(given, ours if key is None else key, algorithm, headers=headers)


def with_the_public_key_as_a_secret() -> str:
    """Sign what PyJWT refuses to sign."""
    header, claims, _ = signed().split(".")
    confused = jwt.utils.base64url_decode(header).replace(b"RS256", b"HS256")
    public = tokens.signing_key().public_key()
    secret = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    content = b".".join([jwt.utils.base64url_encode(confused), claims.encode()])
    signature = hmac.digest(secret, content, "sha256")
    return b".".join([content, jwt.utils.base64url_encode(signature)]).decode()


class TestKey:
    def test_it_is_private_and_stays(self, folder: Path) -> None:
        first = tokens.signing_key()

        files = list(folder.iterdir())
        assert [stat.S_IMODE(file.stat().st_mode) for file in files] == [0o600]
        assert tokens.signing_key().private_numbers() == first.private_numbers()

    def test_all_who_need_it_at_once_get_the_same(self, folder: Path) -> None:
        with ThreadPoolExecutor(4) as threads:
            keys = list(threads.map(lambda _: tokens.signing_key(), range(4)))

        assert len({key.private_numbers().d for key in keys}) == 1
        assert len(list(folder.iterdir())) == 1

    def test_what_is_published_is_not_the_private_part(self) -> None:
        (published,) = tokens.jwks(tokens.signing_key().public_key())["keys"]

        assert published.keys() == {"kty", "key_ops", "n", "e", "kid", "use", "alg"}


class TestIssuedToken:
    def test_it_is_accepted(self, authorizer: JwtAuthorizer) -> None:
        claims = authorizer.claims(f"Bearer {tokens.issue_token()}")

        assert token_scopes(claims) == sorted({scope for route in TEMPLATE.routes for scope in route.scopes})
        assert claims["sub"] == "dev-admin"

    def test_it_says_what_was_asked_for(self, authorizer: JwtAuthorizer) -> None:
        claims = authorizer.claims(tokens.issue_token(scope="a b", subject="someone", expires_in=60))

        assert (claims["scope"], claims["sub"], claims["exp"] - claims["iat"]) == ("a b", "someone", 60)

    def test_it_lasts_for_a_long_working_day(self, authorizer: JwtAuthorizer) -> None:
        claims = authorizer.claims(tokens.issue_token())

        assert claims["exp"] - claims["iat"] >= 12 * 60 * 60

    def test_it_ends(self, authorizer: JwtAuthorizer) -> None:
        with pytest.raises(UnauthorizedError, match="expired"):
            authorizer.claims(f"Bearer {tokens.issue_token(expires_in=-1)}")


class TestAuthorizer:
    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": [AUDIENCE, "other"]},
            {"aud": None, "client_id": "another-client"},
            {"nbf": 1},
            {"sub": None},
        ],
        ids=str,
    )
    def test_it_trusts(self, authorizer: JwtAuthorizer, claims: dict[str, Any]) -> None:
        assert authorizer.claims(f"Bearer {signed(**claims)}")["iss"] == ISSUER

    @pytest.mark.parametrize(
        "claims",
        [
            {"aud": None}, {"aud": f"{AUDIENCE} other"}, {"aud": {AUDIENCE: True}},
            {"aud": None, "client_id": "others-client"}, {"aud": ["other"], "client_id": "another-client"},
            {"aud": [], "client_id": "another-client"}, {"iss": f"{ISSUER}/"}, {"iss": None},
            {"exp": "never"}, {"exp": 1}, {"exp": None}, {"nbf": 2**40}, {"iat": 2**40},
        ],
        ids=str,
    )  # fmt: skip
    def test_it_does_not_trust(self, authorizer: JwtAuthorizer, claims: dict[str, Any]) -> None:
        with pytest.raises(UnauthorizedError):
            authorizer.claims(f"Bearer {signed(**claims)}")

    @pytest.mark.parametrize(
        "forge",
        [
            lambda: signed("RS384"),
            lambda: signed("PS256"),
            lambda: signed("none", key=""),
            lambda: signed().rpartition(".")[0] + ".",
            lambda: signed(kid="another"),
            lambda: signed(key=rsa.generate_private_key(public_exponent=65537, key_size=2048)),
            with_the_public_key_as_a_secret,
        ],
    )
    def test_what_is_forged(self, authorizer: JwtAuthorizer, forge: Callable[[], str]) -> None:
        assert authorizer.claims(f"Bearer {signed()}")
        with pytest.raises(UnauthorizedError):
            authorizer.claims(f"Bearer {forge()}")

    @pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "a.b.c", "Bearer é.é.é"])
    def test_what_is_no_token(self, authorizer: JwtAuthorizer, header: str | None) -> None:
        with pytest.raises(UnauthorizedError):
            authorizer.claims(header)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a  b"}, ["a", "b"]), ({"scope": ["a", "b"]}, ["a", "b"]), ({"scp": "a b"}, ["a", "b"]),
        ({"scp": ["a b", 1]}, ["a b"]), ({"scope": 1}, []), ({}, []),
    ],
    ids=str,
)  # fmt: skip
def test_scopes(claims: dict[str, Any], scopes: list[str]) -> None:
    assert token_scopes(claims) == scopes
