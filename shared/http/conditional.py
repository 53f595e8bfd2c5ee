"""Conditional requests (RFC 9110, section 13): the entity tag of a resource is its version."""

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.http.headers import Header

ANY = "*"
# Of a class that goes up to \uffff, Python would walk all characters when it compiles the pattern.
TAG = r'(?:W/)?"[^\x00-\x20"\x7f]*"'
TAGS = re.compile(rf"[ \t,]*{TAG}(?:[ \t]*,[ \t,]*{TAG})*[ \t,]*")
# The same for the API's document, without the liberties that a receiver must allow.
LIST_OF_TAGS = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'
STRONG_TAG_OF_A_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')


def entity_tag(version: int) -> str:
    """Write a version as a strong entity tag."""
    return f'"{version}"'


def is_current(version: int, if_none_match: str) -> bool:
    """Tell whether `If-None-Match` names the version, by the weak comparison meant for reads."""
    header = if_none_match.strip()
    return header == ANY or entity_tag(version) in [tag.removeprefix("W/") for tag in _tags(header)]


def _expected_versions(if_match: str) -> frozenset[int] | None:
    """Read `If-Match` by the strong comparison meant for writes; None stands for any version."""
    header = if_match.strip()
    if header == ANY:
        return None
    if not TAGS.fullmatch(header):
        raise PydanticCustomError("entity_tags", "must be * or a list of entity tags")
    versions = (STRONG_TAG_OF_A_VERSION.fullmatch(tag) for tag in _tags(header))
    return frozenset(int(version[1]) for version in versions if version)


def _tags(header: str) -> list[str]:
    return re.findall(TAG, header) if TAGS.fullmatch(header) else []


IfMatch = Annotated[
    frozenset[int] | None,
    Header("If-Match", "Change only what still has one of these entity tags."),
    BeforeValidator(_expected_versions),
    WithJsonSchema({"type": "string", "pattern": LIST_OF_TAGS, "examples": ['"3"']}),
]
IfNoneMatch = Annotated[
    str | None,
    Header("If-None-Match", "Answer 304 when one of these entity tags is current.", example='"3"'),
]
