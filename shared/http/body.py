"""Reading the body of a request."""

import base64
import codecs
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from itertools import islice
from typing import Any, NoReturn

from shared.http.problems import MAX_ERRORS, BodyTooLargeError, InvalidRequestError, UnsupportedMediaTypeError

MAX_KIBIBYTES = 64
# More than any number of ours can have, and far from where Python refuses to read an integer.
MAX_INTEGER_DIGITS = 100
# The second for PATCH alone.
MEDIA_TYPES = ("application/json", "application/merge-patch+json")
UTF_8 = {"charset=utf-8", "charset=utf8"}

Place = tuple[str | int, ...]


def read_json_object(
    event: Mapping[str, Any], max_kibibytes: int = MAX_KIBIBYTES
) -> tuple[dict[str, Any], list[Place]]:
    """Read the body as a JSON object, each number in it as the decimal that was written.

    Also say where a name is given twice. Raises InvalidRequestError, BodyTooLargeError,
    UnsupportedMediaTypeError.
    """
    try:
        body = (event.get("body") or "").encode("utf-8", "surrogatepass")
        if event.get("isBase64Encoded"):
            body = base64.b64decode(body, validate=True)
        if not body:
            raise _invalid("missing")
        if len(body) > max_kibibytes * 1024:
            raise BodyTooLargeError(max_kibibytes)
        _refuse_media_type(event["headers"], is_patch=event.get("routeKey", "").startswith("PATCH "))
        text = body.removeprefix(codecs.BOM_UTF8).decode()
        read = partial(json.loads, text, parse_float=_decimal, parse_int=_integer, parse_constant=_refuse)
        are_unique = True

        def read_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
            nonlocal are_unique
            members = {_writable(name): item for name, item in pairs}
            are_unique &= len(members) == len(pairs)
            return members

        value = read(object_pairs_hook=read_object)
        if not isinstance(value, dict):
            raise _invalid("object_type")
        twice: list[Place] = []
        if not are_unique:
            twice = list(islice(_given_twice(read(object_pairs_hook=tuple), ["body"]), MAX_ERRORS))
    except (ValueError, RecursionError) as error:
        raise _invalid("json_invalid") from error
    return value, twice


def _writable(name: str) -> str:
    # A name that could not be answered must not hide what else is wrong; it is no field in any case.
    return name if name.isascii() else name.encode(errors="replace").decode()


def _invalid(kind: str) -> InvalidRequestError:
    return InvalidRequestError([{"type": kind, "loc": ("body",)}])


def _refuse_media_type(headers: Mapping[str, str], *, is_patch: bool) -> None:
    if (encoding := headers.get("content-encoding", "").strip().lower()) not in {"", "identity"}:
        shown = "".join(filter(str.isprintable, encoding[:40]))
        raise UnsupportedMediaTypeError(f"Content-Encoding {shown} is not read: send the body as it is.")
    media_type, _, parameters = headers.get("content-type", "").lower().partition(";")
    given = re.sub('[ \t"]', "", parameters).split(";") if parameters else []
    charsets = [part for part in given if part.startswith("charset")]
    if media_type.strip(" \t") not in MEDIA_TYPES[: 1 + is_patch] or not UTF_8.issuperset(charsets):
        raise UnsupportedMediaTypeError


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


def _integer(text: str) -> int:
    return int(text[:MAX_INTEGER_DIGITS])


def _refuse(name: str) -> NoReturn:
    raise ValueError(name)
