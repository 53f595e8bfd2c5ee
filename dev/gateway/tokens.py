"""The local issuer: its signing key, its tokens, and what it publishes about itself."""

import hashlib
import os
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from dev.gateway.template import local_template
from dev.local import AUDIENCE, ISSUER, folder

ALGORITHM = "RS256"
DEFAULT_SUBJECT = "dev-admin"
DEFAULT_SECONDS = 24 * 60 * 60


def issue_token(
    *, scope: str | None = None, subject: str = DEFAULT_SUBJECT, expires_in: int = DEFAULT_SECONDS
) -> str:
    """Make a token that every gateway with this key accepts, with all scopes if none are given."""
    if scope is None:
        scope = " ".join(sorted({scope for route in local_template().routes for scope in route.scopes}))
    key = signing_key()
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": subject,
        "scope": scope,
        "iat": now,
        "exp": now + expires_in,
        "jti": str(uuid.uuid4()),
    }
    return jwt.encode(claims, key, ALGORITHM, headers={"kid": key_id(key.public_key())})


def signing_key() -> rsa.RSAPrivateKey:
    """The private key of this checkout, made on first use."""
    path = folder() / "signing-key.pem"
    if not path.exists():
        _make_key(path)
    key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    if not isinstance(key, rsa.RSAPrivateKey):
        raise TypeError(f"{path} holds no RSA key: delete it, and a new one is made.")
    return key


def key_id(key: rsa.RSAPublicKey) -> str:
    """The name under which the key is published."""
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(encoded).hexdigest()[:16]


def jwks(key: rsa.RSAPublicKey) -> dict[str, Any]:
    """The JSON Web Key Set of the issuer."""
    published = {"kid": key_id(key), "use": "sig", "alg": ALGORITHM}
    return {"keys": [RSAAlgorithm.to_jwk(key, as_dict=True) | published]}


def openid_configuration(base_url: str) -> dict[str, Any]:
    """The OpenID configuration of the issuer, as served at an address."""
    return {
        "issuer": ISSUER,
        "jwks_uri": f"{base_url.rstrip('/')}/.well-known/jwks.json",
        "response_types_supported": ["token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [ALGORITHM],
    }


def _make_key(path: Path) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A link appears complete, and only once: the slower one of two processes uses the key of the other one.
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, prefix=".signing-key-")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(pem)
        path.hardlink_to(unfinished)
    except FileExistsError:
        pass
    finally:
        Path(unfinished).unlink()
