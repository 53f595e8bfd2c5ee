"""What goes over the wire: strict models of what comes in, and plain dictionaries of what goes out."""

import json
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Annotated, Any, Generic, Literal, TypeVar
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticKnownError
from typing_extensions import TypedDict

from shared.settings import settings
from shared.token_bundles.model import Action, TokenBundle, TokenBundleChange

MAX_INTEGER = 2**31 - 1
MAX_BIG_INTEGER = 2**63 - 1
MAX_WHOLE_UNITS = 99_999_999
MAX_PER_PAGE = 100

# What Postgres has no place for: NUL, and the halves of a character that UTF-8 cannot write.
UNSTORABLE = re.compile("[\0\ud800-\udfff]")
# What a browser's number input sends: https://html.spec.whatwg.org/#valid-floating-point-number
DECIMAL_TEXT = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INTEGER_TEXT = re.compile(r"-?\d+", re.ASCII)


def _storable(text: str) -> str:
    if UNSTORABLE.search(text):
        raise PydanticKnownError("string_unicode")
    return text


def _price(value: object) -> Decimal:
    """Read a price without going through a binary float, and never round it."""
    if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
        raise PydanticKnownError("decimal_type")
    if isinstance(value, str) and not DECIMAL_TEXT.fullmatch(value):
        raise PydanticKnownError("decimal_parsing")
    try:
        price = Decimal(value)
    except InvalidOperation:
        raise PydanticKnownError("decimal_parsing") from None
    if not price.is_finite():
        raise PydanticKnownError("finite_number")
    if price < 0:
        raise PydanticKnownError("greater_than_equal", {"ge": 0})
    decimals = settings.default_currency.decimals
    if -int(price.as_tuple().exponent) > decimals:
        raise PydanticKnownError("decimal_max_places", {"decimal_places": decimals})
    if price >= MAX_WHOLE_UNITS + 1:
        raise PydanticKnownError(
            "less_than_equal", {"le": MAX_WHOLE_UNITS + 1 - Decimal(1).scaleb(-decimals)}
        )
    return abs(price)


def _default_when_blank(value: object) -> object:
    return 0 if value is None or value == "" else value


def _integer_text(value: object) -> object:
    if isinstance(value, str) and not INTEGER_TEXT.fullmatch(value):
        raise PydanticKnownError("int_parsing")
    return value


def _true_or_false(value: object) -> object:
    choices = {"true": True, "false": False}
    return choices.get(value.lower(), value) if isinstance(value, str) else value


def _separated(value: object) -> object:
    return value.split(",") if isinstance(value, str) else value


# For the API's document: what the validators say in code.
STORABLE = Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})
STORABLE_AND_NOT_BLANK = Field(json_schema_extra={"pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"})

Text = Annotated[StrictStr, AfterValidator(_storable), STORABLE]
Name = Annotated[
    StrictStr,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=255),
    AfterValidator(_storable),
    STORABLE_AND_NOT_BLANK,
]
Description = Annotated[
    Annotated[StrictStr, StringConstraints(max_length=2000), AfterValidator(_storable), STORABLE] | None,
    AfterValidator(lambda text: text or None),
]
TokenAmount = Annotated[StrictInt, Field(ge=1, le=MAX_INTEGER)]
Price = Annotated[
    Decimal,
    PlainValidator(_price),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "minimum": 0, "exclusiveMaximum": MAX_WHOLE_UNITS + 1},
                {"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]+)?$"},
            ],
            "description": "No more decimals than the currency has.",
            "examples": ["9.90"],
        }
    ),
]
SortOrder = Annotated[
    StrictInt,
    Field(ge=-MAX_INTEGER - 1, le=MAX_INTEGER),
    BeforeValidator(_default_when_blank),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": -MAX_INTEGER - 1, "maximum": MAX_INTEGER},
                {"enum": [None, ""]},
            ],
            "description": "null and an empty text stand for 0.",
        }
    ),
]


class TokenBundleCreate(BaseModel):
    """What a new bundle is made of."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    description: Description = None
    token_amount: TokenAmount
    price: Price
    is_active: StrictBool = True
    sort_order: SortOrder = 0


class TokenBundleUpdate(BaseModel):
    """What to change in a bundle; a field that is absent stays as it is, and its default is never read."""

    model_config = ConfigDict(extra="forbid")

    name: Name = Field(default_factory=str)
    description: Description = None
    token_amount: TokenAmount = Field(default_factory=int)
    price: Price = Field(default_factory=Decimal)
    is_active: StrictBool = Field(default_factory=bool)
    sort_order: SortOrder = Field(default_factory=int)


def _shown_price(price: Decimal) -> str:
    return f"{price:.{settings.default_currency.decimals}f}"


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
    """Show a stored bundle, its price with exactly the currency's decimals."""
    return {
        "id": bundle.id,
        "name": bundle.name,
        "description": bundle.description,
        "token_amount": bundle.token_amount,
        "price": _shown_price(bundle.price),
        "currency": settings.default_currency.code,
        "is_active": bundle.is_active,
        "sort_order": bundle.sort_order,
        "version": bundle.version,
        "created_at": bundle.created_at.astimezone(UTC),
        "updated_at": bundle.updated_at.astimezone(UTC),
    }


Shown = str | int | bool | None
FieldChange = TypedDict("FieldChange", {"from": Shown, "to": Shown})
FieldChange.__doc__ = "A field before and after a change, as it is shown in the bundle."


class TokenBundleChangeRead(TypedDict):
    """What was done to a bundle: by whom, when, and what each changed field was before and after."""

    version: int
    action: Action
    changes: dict[str, FieldChange]
    changed_by: str | None
    client_id: str | None
    request_id: str | None
    changed_at: datetime


def show_change(change: TokenBundleChange) -> TokenBundleChangeRead:
    """Show a stored change."""
    after, before = _editable_fields(change.after), _editable_fields(change.before)
    return {
        "version": change.version,
        "action": change.action,
        "changes": {
            field: {"from": before.get(field), "to": after.get(field)}
            for field in TokenBundleCreate.model_fields
            if before.get(field) != after.get(field)
        },
        "changed_by": change.subject,
        "client_id": change.client_id,
        "request_id": change.request_id,
        "changed_at": change.changed_at.astimezone(UTC),
    }


# What there was before a change is what there was after the one below it.
@lru_cache(maxsize=1)
def _editable_fields(snapshot: str | None) -> dict[str, Any]:
    if snapshot is None:
        return {}
    fields = json.loads(snapshot, parse_float=Decimal)
    return {field: fields.get(field) for field in TokenBundleCreate.model_fields} | {
        "price": _shown_price(fields["price"])
    }


class BundleAnswer(TypedDict):
    """One bundle in its envelope."""

    bundle: TokenBundleRead


class Message(TypedDict):
    """A sentence for a person."""

    message: str


PageNumber = Annotated[int, Field(ge=1, le=MAX_BIG_INTEGER), BeforeValidator(_integer_text)]
PerPage = Annotated[
    PageNumber,
    AfterValidator(lambda wanted: min(wanted, MAX_PER_PAGE)),
    Field(description=f"How many of them are on a page: {MAX_PER_PAGE} when more are asked for."),
]
SortKey = Literal[
    "sort_order", "name", "price", "token_amount", "created_at", "updated_at",
    "-sort_order", "-name", "-price", "-token_amount", "-created_at", "-updated_at",
]  # fmt: skip


class PageQuery(BaseModel):
    """Which page to show, and how long it is."""

    page: Annotated[PageNumber, Field(description="After the last page all are empty.")] = 1
    per_page: PerPage = 20

    @property
    def offset(self) -> int:
        """How many rows come before the page, as far as the database can count."""
        return min((self.page - 1) * self.per_page, MAX_BIG_INTEGER)


class TokenBundleListQuery(PageQuery):
    """Which bundles to list, and in which order."""

    include_inactive: Annotated[
        StrictBool,
        BeforeValidator(_true_or_false),
        Field(description="Whether bundles that nobody can buy are listed, too."),
    ] = True
    q: Annotated[Text, Field(description="A part of the name, in capitals or not.")] = ""
    sort: Annotated[
        tuple[SortKey, ...],
        BeforeValidator(_separated),
        Field(json_schema_extra={"minItems": 1}, description="With - before them for descending."),
    ] = ("sort_order", "name")


Item = TypeVar("Item")


class Page(TypedDict, Generic[Item]):
    """One page of a list, and how many items and pages there are in all."""

    items: list[Item]
    total: int
    page: int
    per_page: int
    pages: int


def show_page(items: list[Item], total: int, query: PageQuery) -> Page[Item]:
    """Show the items of the page that was asked for."""
    pages = -(-total // query.per_page)
    return {"items": items, "total": total, "page": query.page, "per_page": query.per_page, "pages": pages}
