"""Conditional requests (RFC 9110, section 13): the entity tag of a resource is its version."""

import re
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

from pydantic import BaseModel, PlainValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.errors import ApiError, ChangedMeanwhileError
from shared.http.headers import Header

# Of a class that goes up to \uffff, Python would walk all characters when it compiles the pattern.
TAG = r'(?:W/)?"[^\x00-\x20"\x7f]*"'
TAGS = re.compile(rf"[ \t,]*{TAG}(?:[ \t]*,[ \t,]*{TAG})*[ \t,]*")
TAG_OF_A_VERSION = re.compile(r'"([1-9][0-9]{0,8})"')
# The same for the API's document, without the liberties that a receiver must allow.
PATTERN = r'^(\*|(W/)?"[!#-~]*"(, ?(W/)?"[!#-~]*")*)$'
A_LIST = WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ['"3"']})
A_TEXT = WithJsonSchema({"type": "string", "examples": ['"3"']})
CURRENT = Header("If-Match", "Go on only if one of these entity tags is current.")
NOT_CURRENT = Header("If-None-Match", "Go on only if none of these entity tags is current.")
CHANGED = Header("If-None-Match", "Answer 304 if one of these entity tags is current.")
HEADERS = {"expected": "if-match", "excluded": "if-none-match"}
WEAKENED = "A proxy has weakened the entity tag in If-Match on its way (W/), so that it fits no version."
# Of what anyone may read, whose entity tag is made of the body.
KnownTags = Annotated[str, CHANGED]
# None stands for all.
Versions = frozenset[int] | None


def explained(error: ApiError, headers: Mapping[str, str]) -> ApiError:
    """Say that no version fits a weak entity tag, which the version alone does not tell."""
    tags = re.findall(TAG, headers.get("if-match", ""))
    weakened = isinstance(error, ChangedMeanwhileError) and any(tag.startswith("W/") for tag in tags)
    return ChangedMeanwhileError(WEAKENED) if weakened else error


def _versions(header: str, prefix: str = "", *, strict: bool = True) -> Versions:
    header = header.strip()
    if header == "*":
        return None
    if not TAGS.fullmatch(header):
        if strict:
            raise PydanticCustomError(
                "entity_tags",
                'must be an ETag such as "3", with the quotation marks, several with commas, or *',
            )
        return frozenset()
    tags = [tag.removeprefix(prefix) for tag in re.findall(TAG, header)]
    return frozenset(int(version[1]) for version in map(TAG_OF_A_VERSION.fullmatch, tags) if version)


def is_known(tag: str, header: str) -> bool:
    """Tell whether a strong entity tag is among those of an If-None-Match, compared weakly."""
    given = header.strip()
    is_list = TAGS.fullmatch(given)
    return given == "*" or bool(is_list and tag in (one.removeprefix("W/") for one in re.findall(TAG, given)))


_weakly = partial(_versions, prefix="W/")
_leniently = partial(_weakly, strict=False)


class Conditions(BaseModel, alias_generator=HEADERS.__getitem__, defer_build=True):
    """The conditions on which a request changes a version: which it must be, and which it must not be."""

    expected: Annotated[Versions, PlainValidator(_versions), A_LIST, CURRENT] = None
    excluded: Annotated[Versions, PlainValidator(_weakly), A_LIST, NOT_CURRENT] = frozenset()

    def given(self) -> dict[str, Any]:
        """Return them as the database compares them, and whether If-Match is there at all."""
        return {**vars(self), "is_named": "expected" in self.model_fields_set}


class ConditionsOfRead(Conditions):
    """The conditions on which a request reads a version."""

    excluded: Annotated[Versions, PlainValidator(_leniently), A_TEXT, CHANGED] = frozenset()
