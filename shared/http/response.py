"""What a function answers."""

from collections.abc import Mapping
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic_core import to_json

Body = TypeVar("Body")


class Response(NamedTuple, Generic[Body]):
    """A status, a body that is a text or becomes JSON, and headers."""

    status: int
    body: Body | None = None
    headers: Mapping[str, str] = {}
    content_type: str = "application/json"

    def for_api_gateway(self) -> dict[str, Any]:
        """Write it in payload format 2.0."""
        body = "" if self.body is None else self.body
        return {
            "statusCode": int(self.status),
            "headers": {"Content-Type": self.content_type, **self.headers},
            "body": body if isinstance(body, str) else to_json(body).decode(),
            "isBase64Encoded": False,
        }
