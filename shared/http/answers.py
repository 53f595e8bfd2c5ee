"""Answers of 200 and up."""

from http import HTTPStatus
from typing import TypeVar

from shared.http.conditional import entity_tag, is_current
from shared.http.idempotency import REPLAYED
from shared.http.response import Response

Answer = TypeVar("Answer")


def answer(
    body: Answer,
    *,
    version: int | None = None,
    if_none_match: str | None = None,
    location: str | None = None,
    replayed: bool = False,
) -> Response[Answer]:
    """Answer with a JSON body and the entity tag of its version, or 304 when the caller has that version.

    `location` is where to find what was created, now or, when it is `replayed`, by an earlier request.
    """
    headers = {}
    if version is not None:
        headers["ETag"] = entity_tag(version)
        if is_current(version, if_none_match):
            return Response(HTTPStatus.NOT_MODIFIED, headers=headers)
    if location is not None:
        headers["Location"] = location
    if replayed:
        headers[REPLAYED] = "true"
    status = HTTPStatus.OK if location is None else HTTPStatus.CREATED
    return Response(status, body, headers)
