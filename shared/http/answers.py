"""Answers of 200 and up."""

from http import HTTPStatus
from typing import TypeVar

from aws_lambda_powertools.event_handler import Response, content_types
from pydantic import BaseModel

from shared.http.conditional import entity_tag, is_current

Answer = TypeVar("Answer", bound=BaseModel)


def answer(
    body: Answer,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    version: int | None = None,
    if_none_match: str | None = None,
    headers: dict[str, str] | None = None,
) -> Response[Answer]:
    """Answer with a JSON body and the entity tag of its version, or 304 when the caller has that version."""
    headers = dict(headers or {})
    if version is not None:
        headers["ETag"] = entity_tag(version)
        if is_current(version, if_none_match):
            return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(status, content_types.APPLICATION_JSON, body, headers)
