"""Answers of 200 and up."""

from http import HTTPStatus
from typing import TypeVar

from aws_lambda_powertools.event_handler import Response, content_types
from pydantic import BaseModel

Answer = TypeVar("Answer", bound=BaseModel)


def answer(
    body: Answer,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    version: int | None = None,
    location: str | None = None,
) -> Response[Answer]:
    """Answer with a JSON body, an `ETag` for the version of what it shows, and where it can be found."""
    headers = {"ETag": f'"{version}"' if version else None, "Location": location}
    return Response(
        status_code=status,
        content_type=content_types.APPLICATION_JSON,
        body=body,
        headers={name: value for name, value in headers.items() if value},
    )
