"""What goes over the wire: strict models of what comes in, and plain dictionaries of what goes out."""

from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, cast
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StrictBool
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from shared import fields
from shared.history import ChangeRead, Shown
from shared.paging import PageQuery
from shared.token_bundles.model import TokenBundle


class TokenBundleCreate(BaseModel, extra="forbid", defer_build=True):
    """What a new bundle is made of."""

    name: fields.Name
    description: fields.Description = None
    token_amount: fields.Count
    price: fields.Price
    is_active: StrictBool = True
    sort_order: fields.SortOrder = 0


class TokenBundleUpdate(fields.AsRead, extra="forbid", defer_build=True):
    """What to change in a bundle; a field that is absent stays as it is, and its default is never read."""

    name: fields.Name = Field(default_factory=str)
    description: fields.Description = Field(default_factory=str)
    token_amount: fields.Count = Field(default_factory=int)
    price: fields.Price = Field(default_factory=Decimal)
    is_active: StrictBool = Field(default_factory=bool)
    sort_order: fields.SortOrder = Field(default_factory=int)
    currency: fields.Currency = fields.IGNORED


class TokenBundleRead(TypedDict):
    """A bundle as it is shown."""

    id: UUID
    name: str
    description: str | None
    token_amount: int
    price: Annotated[str, Field(description="With exactly the currency's decimals.")]
    currency: Annotated[str, Field(description="The system's default currency, by its ISO 4217 code.")]
    is_active: bool
    sort_order: int
    version: Annotated[int, Field(description="1 at first, and 1 more with every change.")]
    created_at: datetime
    updated_at: datetime


def show_bundle(bundle: TokenBundle) -> TokenBundleRead:
    """Show a bundle, its price with exactly the decimals of its currency."""
    return cast("TokenBundleRead", vars(bundle) | {"price": fields.show_price(bundle.price, bundle.currency)})


def show_editable_fields(bundle: TokenBundle) -> dict[str, Shown]:
    """Show the fields of a bundle that its history is about."""
    shown: dict[str, Any] = {**show_bundle(bundle)}
    return {name: shown[name] for name in (*TokenBundleCreate.model_fields, "currency")}


class TokenBundleChangeRead(ChangeRead):
    """What was done to a bundle: by whom, when, and what each changed field was before and after."""


class BundleAnswer(TypedDict):
    """One bundle in its envelope."""

    bundle: TokenBundleRead


# Each is a key of SORTABLE in the repository, too; a new one wants an index when the list is long.
SortKey = Literal[
    "sort_order", "name", "price", "token_amount", "created_at", "updated_at",
    "-sort_order", "-name", "-price", "-token_amount", "-created_at", "-updated_at",
]  # fmt: skip


def _each_once(keys: tuple[SortKey, ...]) -> tuple[SortKey, ...]:
    if len({key.removeprefix("-") for key in keys}) < len(keys):
        raise PydanticCustomError("duplicate_items", "must have each of them only once")
    return keys


class TokenBundleListQuery(PageQuery, defer_build=True):
    """Which bundles to list, and in which order."""

    include_inactive: Annotated[
        fields.BooleanParameter, Field(description="Whether bundles that nobody can buy are listed, too.")
    ] = True
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
