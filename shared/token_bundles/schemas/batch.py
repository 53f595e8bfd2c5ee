"""The body and the answer of a change of many bundles."""

from typing import Annotated, ClassVar, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from shared import fields
from shared.token_bundles.schemas.read import TokenBundleRead
from shared.token_bundles.schemas.update import TokenBundleUpdate

MAX_BUNDLES = 100


class TokenBundleEntry(TokenBundleUpdate, defer_build=True):
    """Which bundle of many to change, and what of it."""

    id: Annotated[fields.RowId, fields.ONLY_ONCE]

    @model_validator(mode="after")
    def _changes_something(self) -> Self:
        if self.model_fields_set <= fields.AsRead.model_fields.keys() | {"currency"}:
            raise PydanticCustomError("no_change", "must have a field that is to be changed")
        return self


class TokenBundlesUpdate(BaseModel, extra="forbid", defer_build=True):
    """What to change in many bundles, all or none."""

    MAX_KIBIBYTES: ClassVar = 1024

    bundles: Annotated[list[TokenBundleEntry], Field(min_length=1, max_length=MAX_BUNDLES)]


class BundlesAnswer(TypedDict):
    """The bundles in the order that they were given in."""

    bundles: list[TokenBundleRead]
