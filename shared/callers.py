"""The authenticated caller of a request."""

from typing import NamedTuple


class Caller(NamedTuple):
    """Whom the token of a request was given to, and the id of the request."""

    subject: str | None
    client_id: str | None
    request_id: str | None

    @property
    def name(self) -> str:
        """The caller's identity, to tell it from others."""
        return self.subject or self.client_id or ""
