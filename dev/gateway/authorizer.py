"""The JWT authorizer of an HTTP API."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from dev.gateway import template, tokens

if TYPE_CHECKING:
    from jwt.types import Options


class UnauthorizedError(Exception):
    """The request has no token, or not one to be trusted; the message is what API Gateway would say of it."""


class JwtAuthorizer:
    """Checks tokens as API Gateway does, against the keys of the issuer."""

    def __init__(self, declared: template.Authorizer, key: rsa.RSAPublicKey) -> None:
        self.issuer = declared.issuer
        self.audiences = frozenset(declared.audiences)
        self.keys = {tokens.key_id(key): key}

    def claims(self, authorization: str | None) -> dict[str, Any]:
        """Read the claims of a trusted token; raises UnauthorizedError."""
        if not authorization:
            raise UnauthorizedError
        try:
            claims = self._verified(authorization.removeprefix("Bearer "))
        except jwt.PyJWTError as error:
            raise UnauthorizedError(str(error).lower()) from error
        audience = claims.get("aud", claims.get("client_id"))
        if not self.audiences.intersection(_texts([audience] if isinstance(audience, str) else audience)):
            raise UnauthorizedError("the token does not have a valid audience")
        return claims

    def _verified(self, token: str) -> dict[str, Any]:
        key = self.keys.get(str(jwt.get_unverified_header(token).get("kid")))
        if key is None:
            raise jwt.InvalidKeyError("no key of the issuer has the token's kid")
        # The audience may be in `client_id`, which PyJWT does not look at.
        options: Options = {"require": ["exp", "iss"], "verify_aud": False}
        return jwt.decode(token, key, [tokens.ALGORITHM], options, issuer=self.issuer)


def token_scopes(claims: Mapping[str, Any]) -> list[str]:
    """The scopes that a token holds: in `scope` or `scp`, as a list or as a text with blanks between them."""
    scopes = claims.get("scope", claims.get("scp"))
    return scopes.split() if isinstance(scopes, str) else _texts(scopes)


def claim_texts(claims: Mapping[str, Any]) -> dict[str, str]:
    """The claims as a function receives them: every value a text, and none for null."""
    return {name: _text(value) for name, value in claims.items() if value is not None}


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    match value:
        case str():
            return value
        case list():
            return f"[{' '.join(_text(item) for item in value)}]"
        case _:
            return json.dumps(value)
