"""The authenticated caller of a request."""

from typing import NamedTuple


class Caller(NamedTuple):
    """Whom the token of a request was given to, and the id of the request."""

    subject: str | None
    client_id: str | None
    request_id: str | None

    def named(self) -> dict[str, str | None]:
        """Write for the log who it is."""
        return {"subject": self.subject, "client_id": self.client_id}

    def claim(self, key: str) -> dict[str, str | None]:
        """Write an idempotency key with what tells the caller from others."""
        subject = self.subject or ""
        # Keys that are in use survive a deploy: a subject changes only where it could be taken for a client.
        if subject.startswith(("sub:", "client_id:")):
            subject = f"sub:{subject}"
        return {"caller": subject or f"client_id:{self.client_id}", "key": key}
