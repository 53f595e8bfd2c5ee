"""Answers of 400 and up: `application/problem+json` (RFC 9457)."""

import json
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from shared.errors import MAX_ERRORS, ApiError
from shared.http.responses import Response

PROBLEM_JSON = "application/problem+json"
HEADERS: dict[int, dict[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"Retry-After": "2"},
}
MAX_POINTER = 1000
# As RFC 9110 has them, which Python before 3.13 does not.
TITLES = {413: "Content Too Large", 422: "Unprocessable Content"}

# pydantic's own sentences speak of inputs, types and strings.
SENTENCES = {
    "bool_type": "must be true or false",
    "code_format": "must have only small letters, digits, . _ and -, with a letter or digit at both ends",
    "cells_missing": "has fewer cells than the header",
    "cells_left_over": "has more cells than the header: what has a comma in it belongs in quotation marks",
    "caller_unknown": "cannot be used with a token that names nobody",
    "decimal_max_places": "must have at most {decimal_places} decimals",
    "decimal_parsing": "must be a number with a point, such as 9.90, without separators",
    "decimal_type": "must be a number",
    "duplicate": "must be given only once",
    "dict_type": "must be a JSON object",
    "duplicate_items": "must have each of them only once",
    "control_characters": "must not contain control characters",
    "csv_invalid": "is not written as CSV: a quotation mark is missing, doubled, or in the wrong place",
    "datetime_invalid": "must be a date and time such as 2026-11-26T08:00:00Z",
    "entity_tags": 'must be an ETag such as "3", with the quotation marks, several with commas, or *',
    "extra_forbidden": "is not a field that can be set",
    "extra_forbidden_in_row": "is not a column that can be set",
    "extra_forbidden_in_query": "is not a parameter of this",
    "finite_number": "must be a number that can be written out",
    "greater_than_equal": "must be {ge:,} or more",
    "id_invalid": "must be an id",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "has too many digits",
    "int_type": "must be a whole number",
    "json_invalid": "must be JSON",
    "key_invalid": "must be what `next` said",
    "less_than_equal": "must be at most {le:,}",
    "list_type": "must be a list",
    "literal_error": "must be one of {expected}",
    "missing": "is required",
    "model_type": "must be a JSON object",
    "no_change": "must have a field that is to be changed",
    "not_for_many": "does not apply to many at once",
    "not_utf_8": "is not in UTF-8: save the file as “CSV UTF-8”, or with the character set “Unicode (UTF-8)”",
    "object_type": "must be a JSON object",
    "read_only": "cannot be changed",
    "string_pattern_mismatch": "has characters that it must not have, or too many",
    "string_too_long": "must have at most {max_length:,} characters",
    "string_too_short": "must have at least {min_length:,} characters",
    "string_type": "must be text",
    "string_unicode": "must not contain characters that cannot be stored",
    "too_long": "must have at most {max_length:,} of them",
    "too_short": "must have at least one of them",
    "unnamed": "is required where there is no id",
    "uuid_parsing": "cannot be changed",
    "uuid_type": "cannot be changed",
}


class UnauthorizedError(ApiError):
    """Nobody has vouched for the caller."""

    status = 401
    detail = "A valid token is required."


class ForbiddenError(ApiError):
    """The caller's token does not allow what the route does."""

    status = 403
    detail = "The token does not allow this."


class BodyTooLargeError(ApiError):
    """The body is larger than any that makes sense."""

    status = 413

    def __init__(self, kibibytes: int = 64) -> None:
        self.detail = f"The body must have at most {kibibytes:,} KiB."


class UnsupportedMediaTypeError(ApiError):
    """The body is not said to be JSON in UTF-8."""

    status = 415
    detail = "The body must be application/json in UTF-8."


class InvalidRequestError(ApiError):
    """A field, parameter or header is not what it must be; each is named, given pydantic's errors.

    With `rows`, what a body lists is told by the rows of a file that it comes from.
    """

    status = 400

    def __init__(self, errors: Sequence[Mapping[str, Any]], rows: Sequence[int] | None = None) -> None:
        if rows is not None:
            errors, self.error_count = [_in_row(error, rows) for error in errors], len(errors)
        self.errors = tuple(_entry(error) for error in errors[:MAX_ERRORS])
        named = zip(errors, self.errors, strict=False)
        self.detail = "; ".join(f"{_label(error)}: {entry['detail']}" for error, entry in named)


def problem(error: ApiError, request_id: str | None) -> Response[str]:
    """Tell the caller what went wrong, and under which id the log has more."""
    errors = [{**entry, "detail": entry.get("detail", error.detail)} for entry in error.errors]
    body = {
        "type": "about:blank",
        "title": TITLES.get(error.status, HTTPStatus(error.status).phrase),
        "status": error.status,
        "detail": error.detail,
        "error": error.detail,
        **({"errors": errors} if errors else {}),
        **({} if error.error_count is None else {"error_count": error.error_count}),
        "request_id": request_id,
    }
    return Response(json.dumps(body), HEADERS.get(error.status, {}), error.status, PROBLEM_JSON, error.metric)


def _in_row(error: Mapping[str, Any], rows: Sequence[int]) -> Mapping[str, Any]:
    match error["loc"]:
        case ("body", _, int(place), *path):
            return {**error, "loc": ("row", rows[place], *path)}
    return error


def _entry(error: Mapping[str, Any]) -> dict[str, object]:
    place, *path = error["loc"]
    # What pydantic says after a key of an object is that it means the key.
    path = path[:-1] if path[-1:] == ["[key]"] else path
    if place == "body":
        parts = [str(part).replace("~", "~0").replace("/", "~1") for part in path]
        where: dict[str, object] = {"pointer": "".join(f"/{part}" for part in parts)[:MAX_POINTER]}
    elif place == "row":
        where = {"row": path[0], "column": str(path[1])[:MAX_POINTER] if path[1:] else None}
    else:
        where = {"header" if place == "header" else "parameter": _name(error)}
    context = error.get("ctx", {})
    kind = error["type"]
    blank = kind == "string_too_short" and context["min_length"] == 1
    sentence = "must not be blank" if blank else SENTENCES.get(f"{kind}_in_{place}") or SENTENCES.get(kind)
    return where | {"detail": (sentence or "is not valid").format(**context), "code": kind}


def _label(error: Mapping[str, Any]) -> str:
    place, *path = error["loc"]
    if place == "row":
        return ", ".join([f"row {path[0]}", *(_words(column)[:MAX_POINTER] for column in path[1:2])])
    if place != "body":
        return _name(error)
    *within, last = (part for part in path or [place] if part != "[key]")
    # What the caller made up stays as it is.
    words = [*map(_words, within), str(last) if error["type"] == "extra_forbidden" else _words(last)]
    return re.sub(r"s (\d+)\b", r" \1", " ".join(words), count=1)[-MAX_POINTER:]


def _words(part: str | int) -> str:
    """Write a name as words, and a position as people count."""
    return str(part + 1) if isinstance(part, int) else part.replace("_", " ")


def _name(error: Mapping[str, Any]) -> str:
    """Return the innermost name: what follows it is a position in a list."""
    name: str = next(part for part in reversed(error["loc"]) if isinstance(part, str))
    return name.title() if error["loc"][0] == "header" else name
