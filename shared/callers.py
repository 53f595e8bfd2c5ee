"""Who asks."""

from typing import NamedTuple


class Caller(NamedTuple):
    """Whom a token was given to, and the request that it came with."""

    subject: str | None
    client_id: str | None
    request_id: str | None

    @property
    def name(self) -> str:
        """What tells this caller from others."""
        return self.subject or self.client_id or ""
