"""Tokens of the local issuer, and which tokens the authorizer lets in."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest

from dev.gateway import tokens
from dev.gateway.authorizer import JwtAuthorizer, UnauthorizedError, token_scopes
from dev.gateway.template import Authorizer
from dev.local import AUDIENCE, ISSUER


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "state"
    monkeypatch.setenv("DEV_FOLDER", str(folder))
    return folder


@pytest.fixture
def authorizer() -> JwtAuthorizer:
    return JwtAuthorizer(Authorizer(ISSUER, (AUDIENCE, "another-client")), tokens.signing_key().public_key())


def signed(algorithm: str = "RS256", **changes: Any) -> str:
    claims = jwt.decode(tokens.issue_token(), options={"verify_signature": False}) | changes
    key = tokens.signing_key()
    given = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(given, key, algorithm, headers={"kid": tokens.key_id(key.public_key())})


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

        assert token_scopes(claims) == ["token-bundles:read", "token-bundles:write"]
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
            {"aud": f"{AUDIENCE} other"},
            {"aud": ["other"], "client_id": "another-client"},
            {"aud": [], "client_id": "another-client"},
            {"aud": {AUDIENCE: True}},
            {"iss": f"{ISSUER}/"},
            {"exp": "never"},
        ],
        ids=str,
    )
    def test_it_does_not_trust(self, authorizer: JwtAuthorizer, claims: dict[str, Any]) -> None:
        with pytest.raises(UnauthorizedError):
            authorizer.claims(f"Bearer {signed(**claims)}")

    @pytest.mark.parametrize("algorithm", ["RS384", "PS256"])
    def test_other_algorithms(self, authorizer: JwtAuthorizer, algorithm: str) -> None:
        with pytest.raises(UnauthorizedError):
            authorizer.claims(f"Bearer {signed(algorithm)}")

    @pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer ", "Basic abc", "a.b.c", "Bearer é.é.é"])
    def test_what_is_no_token(self, authorizer: JwtAuthorizer, header: str | None) -> None:
        with pytest.raises(UnauthorizedError):
            authorizer.claims(header)


@pytest.mark.parametrize(
    ("claims", "scopes"),
    [
        ({"scope": "a  b"}, ["a", "b"]),
        ({"scope": ["a", "b"]}, ["a", "b"]),
        ({"scp": "a b"}, ["a", "b"]),
        ({"scp": ["a b", 1]}, ["a b"]),
        ({"scope": 1}, []),
        ({}, []),
    ],
    ids=str,
)
def test_scopes(claims: dict[str, Any], scopes: list[str]) -> None:
    assert token_scopes(claims) == scopes
