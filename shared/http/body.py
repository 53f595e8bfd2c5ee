"""Reading the body of a request: a JSON object, or a file that stands for one."""

import base64
import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import islice
from typing import Any, NamedTuple, NoReturn

from shared.errors import MAX_ERRORS
from shared.fields import read_integer
from shared.http.problems import BodyTooLargeError, InvalidRequestError, UnsupportedMediaTypeError

MAX_KIBIBYTES = 64
# The second for PATCH alone.
MEDIA_TYPES = ("application/json", "application/merge-patch+json")
# What browsers call a CSV file.
FILE_TYPES = ("text/csv", "application/vnd.ms-excel", "application/octet-stream")
UTF_8 = {"charset=utf-8", "charset=utf8"}

# Of rows without a header.
FROM_1 = range(1, 2**31)

Place = tuple[str | int, ...]


class Body(NamedTuple):
    """The members of an object, what is wrong with how they are written, and which rows a list has been."""

    members: dict[str, Any] | None = None
    errors: Sequence[Mapping[str, Any]] = ()
    rows: Sequence[int] | None = None


def read_body(event: Mapping[str, Any], model: Any, max_kibibytes: int) -> Body:
    """Read the body as a JSON object, each number in it as the decimal that was written.

    It may also be a file, if the model has a `read_file`. Raises InvalidRequestError, BodyTooLargeError,
    UnsupportedMediaTypeError.
    """
    may_be_file = hasattr(model, "read_file")
    rows = FROM_1 if may_be_file else None
    kind = "json_invalid"

    def invalid(kind: str) -> InvalidRequestError:
        return InvalidRequestError([{"type": kind, "loc": ("body",)}], rows)

    try:
        body = (event.get("body") or "").encode("utf-8", "surrogatepass")
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
        if not body:
            raise invalid("missing")
        if len(body) > max_kibibytes * 1024:
            raise BodyTooLargeError(max_kibibytes)
        is_patch = event.get("routeKey", "").startswith("PATCH ")
        allowed = [*MEDIA_TYPES[: 1 + is_patch], *(FILE_TYPES if may_be_file else ())]
        if _media_type(event["headers"], allowed) in FILE_TYPES:
            kind = "not_utf_8"
            text = body.decode()
            # API Gateway has replaced what it could not read of what it takes for text.
            if "\0" in text or ("\ufffd" in text and not event.get("isBase64Encoded")):
                raise invalid(kind)
            file = Body(*model.read_file(text))
            if file.errors and not file.rows:
                raise InvalidRequestError(file.errors, file.rows)
            return file
        members, twice = _read_object(body.removeprefix(codecs.BOM_UTF8).decode())
    except (ValueError, RecursionError) as error:
        raise invalid(kind) from error
    if not isinstance(members, dict):
        raise invalid("object_type")
    return Body(members, [{"type": "duplicate", "loc": place} for place in twice], rows)


def _read_object(text: str) -> tuple[Any, list[Place]]:
    """Read JSON, and where in it a name is given twice."""
    read = partial(json.loads, text, parse_float=_decimal, parse_int=read_integer, parse_constant=_refuse)
    are_unique = True

    def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal are_unique
        members = {_writable(name): item for name, item in pairs}
        are_unique &= len(members) == len(pairs)
        return members

    value = read(object_pairs_hook=read_object)
    if are_unique or not isinstance(value, dict):
        return value, []
    return value, list(islice(_given_twice(read(object_pairs_hook=tuple), ["body"]), MAX_ERRORS))


def _writable(name: str) -> str:
    # A name that could not be answered must not hide what else is wrong; it is no field in any case.
    return name if name.isascii() else name.encode(errors="replace").decode()


def _media_type(headers: Mapping[str, str], allowed: Sequence[str]) -> str:
    if (encoding := headers.get("content-encoding", "").strip().lower()) not in {"", "identity"}:
        shown = "".join(filter(str.isprintable, encoding[:40]))
        raise UnsupportedMediaTypeError(f"Content-Encoding {shown} is not read: send the body as it is.")
    media_type, _, parameters = headers.get("content-type", "").lower().partition(";")
    given = re.sub('[ \t"]', "", parameters).split(";") if parameters else []
    charsets = [part for part in given if part.startswith("charset")]
    media_type = media_type.strip(" \t")
    if media_type not in allowed or not UTF_8.issuperset(charsets):
        or_file = "text/csv or " if FILE_TYPES[0] in allowed else ""
        raise UnsupportedMediaTypeError(f"The body must be {or_file}application/json in UTF-8.")
    return media_type


def _given_twice(value: Any, place: list[str | int]) -> Iterator[Place]:
    # Of JSON whose objects are tuples of pairs. A copy of the place for each part would cost the square.
    if isinstance(value, tuple):
        names = Counter(_writable(name) for name, _ in value)
        yield from ((*place, name) for name, times in names.items() if times > 1)
    for name, item in value if isinstance(value, tuple) else enumerate(value):
        if isinstance(item, tuple | list):
            place.append(name)
            yield from _given_twice(item, place)
            place.pop()


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # its exponent has more digits than an exponent can have
        return Decimal("NaN")


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
