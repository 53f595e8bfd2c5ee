"""Fields that only the server sets, in an update that sends back what was read."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StrictInt, ValidationInfo, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.fields import MAX_BIG_INTEGER
from shared.settings import settings


def _as_it_is(given: Any, info: ValidationInfo) -> Any:
    """Compare with what an endpoint knows of the row from its path."""
    known = {"currency": settings.default_currency.code, **(info.context or {})}
    if given != known.get(info.field_name, given):
        raise PydanticCustomError("read_only", "cannot be changed")
    return given


IGNORED: Any = Field(default_factory=str, exclude=True)
Currency = Annotated[Any, AfterValidator(_as_it_is), WithJsonSchema({"type": "string"})]


class AsRead(BaseModel, defer_build=True):
    """What an update may send back of a row although only the server sets it."""

    id: Annotated[UUID, AfterValidator(_as_it_is)] = IGNORED
    version: Annotated[StrictInt, Field(ge=-MAX_BIG_INTEGER - 1, le=MAX_BIG_INTEGER)] = Field(
        default_factory=int, description="The one that is to be changed, and no other."
    )
    created_at: Any = IGNORED
    updated_at: Any = IGNORED
