"""Responses of 200 and up."""

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic_core import to_json

from shared.errors import ChangedMeanwhileError
from shared.http.conditional import ConditionsOfRead, is_known
from shared.settings import settings

REPLAYED = "Idempotency-Replayed"
FILES = {"csv": "text/csv; charset=utf-8", "json": "application/json"}

Body = TypeVar("Body")


class Response(NamedTuple, Generic[Body]):
    """A body that is a text or becomes JSON, headers, the status if not the endpoint's own, what to count."""

    body: Body | None = None
    headers: Mapping[str, str] = {}
    status: int | None = None
    content_type: str = "application/json"
    metric: str | None = None
    is_counted: bool = True
    # What the log is to know of it.
    told: Mapping[str, Any] = {}

    def for_api_gateway(self, status: int) -> dict[str, Any]:
        """Write it in payload format 2.0."""
        body = "" if self.body is None else self.body
        return {
            "statusCode": int(status),
            "headers": {"Content-Type": self.content_type, "Cache-Control": "no-store", **self.headers},
            "body": body if isinstance(body, str) else to_json(body).decode(),
            "isBase64Encoded": False,
        }


def respond(
    body: Body,
    *,
    version: int | None = None,
    conditions: ConditionsOfRead | None = None,
    told: Mapping[str, Any] = {},
) -> Response[Body]:
    """Respond with a JSON body and the entity tag of its version, or with 304 when the caller has that.

    With `conditions` it may be kept, and asked for again; raises ChangedMeanwhileError when they do not hold.
    What is `told` is logged.
    """
    headers = {}
    if version is not None:
        headers["ETag"] = f'"{version}"'
        if conditions:
            headers["Cache-Control"] = "private, no-cache"
            if conditions.expected is not None and version not in conditions.expected:
                raise ChangedMeanwhileError
            if conditions.excluded is None or version in conditions.excluded:
                return Response(None, headers, HTTPStatus.NOT_MODIFIED)
    return Response(body, headers, told=told)


def respond_to_anyone(body: str, known: str, *, metric: str | None = None) -> Response[Any]:
    """Respond with JSON that may be kept for a while, or with 304 when the caller has it."""
    tag = f'"{hashlib.sha256(body.encode()).hexdigest()[:32]}"'
    kept = f"public, max-age={settings.catalogue_max_age}, stale-while-revalidate=300"
    headers = {"ETag": tag, "Cache-Control": kept, "Vary": "Origin"}
    if is_known(tag, known):
        return Response(None, headers, HTTPStatus.NOT_MODIFIED, metric=metric)
    return Response(body, headers, metric=metric)


def respond_with_file(content: str, name: str, kind: str, told: Mapping[str, Any]) -> Response[Any]:
    """Respond with a file of today's date, of the kind that is its extension, and have it logged."""
    disposition = f'attachment; filename="{name}-{datetime.now(UTC):%Y-%m-%d}.{kind}"'
    return Response(content, {"Content-Disposition": disposition}, content_type=FILES[kind], told=told)


def respond_to_change(
    body: Body,
    version: int | None = None,
    location: object = None,
    replayed: bool = False,  # noqa: FBT001, FBT002
) -> Response[Body]:
    """Respond with what has come of a change, as services return it.

    `location` names within its collection what was created, when it is `replayed` by an earlier request.
    """
    response = respond(body, version=version)
    headers = {
        **response.headers,
        **({} if location is None else {"Location": str(location)}),
        **({REPLAYED: "true"} if replayed else {}),
    }
    return response._replace(headers=headers)
