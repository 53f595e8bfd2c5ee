"""The query of the list."""

from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo
from pydantic_core import PydanticCustomError, PydanticKnownError

from shared import fields
from shared.paging import PageQuery

MAX_NAMED = 100
Named = TypeVar("Named")

# Each is a key of SORTABLE in the repository, too; a new one wants an index when the list is long.
SortKey = Literal[
    "sort_order", "name", "code", "price", "token_amount", "created_at", "updated_at",
    "-sort_order", "-name", "-code", "-price", "-token_amount", "-created_at", "-updated_at",
]  # fmt: skip


def _each_once(keys: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    if len({key.removeprefix("-") for key in keys}) < len(keys):
        raise PydanticCustomError("duplicate_items", "must have each of them only once")
    return keys


def _few(named: tuple[Named, ...], info: ValidationInfo) -> tuple[Named, ...]:
    if len(named) + len(info.data.get("id") or ()) > MAX_NAMED:
        raise PydanticKnownError(
            "too_long", {"field_type": "Tuple", "max_length": MAX_NAMED, "actual_length": None}
        )
    return named


class TokenBundleFilters(BaseModel, defer_build=True):
    """Which bundles to find, and in which order."""

    include_inactive: Annotated[
        fields.BooleanParameter, Field(description="Whether bundles that nobody can buy are listed, too.")
    ] = True
    is_active: Annotated[
        fields.BooleanParameter | None, Field(description="Only bundles that are active, or that are not.")
    ] = None
    id: Annotated[
        Annotated[
            tuple[fields.RowId, ...], fields.SEPARATED_BY_COMMAS, AfterValidator(_few), fields.AT_LEAST_ONE
        ]
        | None,
        Field(description="Only these bundles, and those with one of the codes."),
    ] = None
    code: Annotated[
        Annotated[tuple[fields.Text, ...], fields.SEPARATED_BY_COMMAS, AfterValidator(_few)] | None,
        Field(description=f"Only these bundles, and those with one of the ids: {MAX_NAMED} in all."),
    ] = None
    q: Annotated[fields.SearchText, Field(description="A part of the name, in capitals or not.")] = ""
    sort: Annotated[
        tuple[SortKey, ...],
        fields.SEPARATED_BY_COMMAS,
        AfterValidator(_each_once),
        Field(
            json_schema_extra={"minItems": 1, "uniqueItems": True},
            description="Each once, with - before it for descending.",
        ),
    ] = ("sort_order", "name")


class TokenBundleListQuery(TokenBundleFilters, PageQuery, defer_build=True):
    """Which page of which bundles to show."""
