"""The claims of the token that API Gateway's authorizer has verified."""

from collections.abc import Mapping
from typing import Any

from shared.callers import Caller
from shared.fields import is_storable
from shared.http.problems import ForbiddenError, UnauthorizedError

Event = Mapping[str, Any]

# An entry in the index of the idempotency keys has at most 2,704 bytes.
MAX_LENGTH = 510


def request_id(event: Event) -> str:
    """The id under which API Gateway and the log know the request."""
    return str((event.get("requestContext") or {}).get("requestId", ""))


def authenticate(event: Event, scope: str) -> Caller:
    """Return the caller, whose token has the scope; raises UnauthorizedError, ForbiddenError."""
    claims = _claims(event)
    caller = Caller(claims.get("sub"), claims.get("client_id") or claims.get("azp"), request_id(event))
    if not claims or not all(map(_is_storable, caller)):
        raise UnauthorizedError
    if not any(_has(claims.get(name), scope) for name in ("scope", "scp")):
        raise ForbiddenError
    return caller


def anyone(event: Event) -> Caller:
    """Return a caller of whom nothing is known."""
    return Caller(None, None, request_id(event))


def _claims(event: Event) -> Mapping[str, Any]:
    claims: Any = event
    for name in ("requestContext", "authorizer", "jwt", "claims"):
        claims = claims.get(name) if isinstance(claims, dict) else None
    return claims if isinstance(claims, dict) else {}


def _has(scopes: object, scope: str) -> bool:
    """Tell whether a claim has the scope: API Gateway passes one that is a list as `[a b]`."""
    scopes = scopes.strip("[]").split() if isinstance(scopes, str) else scopes
    return isinstance(scopes, list) and scope in scopes


def _is_storable(claim: object) -> bool:
    return claim is None or (isinstance(claim, str) and len(claim) <= MAX_LENGTH and is_storable(claim))
