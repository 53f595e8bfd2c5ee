"""Reading the body of a request."""

import base64
import codecs
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NoReturn

from shared.http.problems import BodyTooLargeError, InvalidRequestError, UnsupportedMediaTypeError

MAX_BODY_BYTES = 64 * 1024
# More than any number of ours can have, and far from where Python refuses to read an integer.
MAX_INTEGER_DIGITS = 100


def read_json_object(event: Mapping[str, Any], content_type: str) -> dict[str, Any]:
    """Read the body as a JSON object, each number in it as the decimal that was written.

    Raises InvalidRequestError, BodyTooLargeError, UnsupportedMediaTypeError.
    """
    try:
        body = _bytes(event)
        if not body:
            raise _invalid("missing")
        if not _is_json_in_utf8(content_type):
            raise UnsupportedMediaTypeError
        if len(body) > MAX_BODY_BYTES:
            raise BodyTooLargeError
        value = json.loads(
            body.decode(), parse_float=_decimal, parse_int=_integer, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise _invalid("json_invalid") from error
    if not isinstance(value, dict):
        raise _invalid("object_type")
    # A name that could not be answered must not hide what else is wrong; it is no field in any case.
    return {name.encode(errors="replace").decode(): item for name, item in value.items()}


def _invalid(kind: str) -> InvalidRequestError:
    return InvalidRequestError([{"type": kind, "loc": ("body",)}])


def _bytes(event: Mapping[str, Any]) -> bytes:
    body = (event.get("body") or "").encode("utf-8", "surrogatepass")
    return base64.b64decode(body, validate=True) if event.get("isBase64Encoded") else body


def _is_json_in_utf8(content_type: str) -> bool:
    if content_type == "application/json":
        return True
    from email.message import Message  # noqa: PLC0415 - hardly any caller needs it

    header = Message()
    header["content-type"] = content_type
    try:
        charset = codecs.lookup(str(header.get_param("charset", "utf-8"))).name
    except (LookupError, ValueError):
        return False
    return header.get_content_type() == "application/json" and charset == "utf-8"


def _decimal(text: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:  # its exponent has more digits than an exponent can have
        return Decimal("NaN")


def _integer(text: str) -> int:
    return int(text[:MAX_INTEGER_DIGITS])


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)
