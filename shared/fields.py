"""Types of fields and parameters that any resource may have: strict, and with sentences for a person."""

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, TypeVar
from unicodedata import category, name, normalize
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    PlainValidator,
    StrictBool,
    StrictInt,
    StrictStr,
    StringConstraints,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, PydanticKnownError

from shared.settings import currency, settings

MAX_INTEGER = 2**31 - 1
# More than any number of ours can have, and far from where Python refuses to read an integer.
MAX_INTEGER_DIGITS = 100
MAX_BIG_INTEGER = 2**63 - 1
MAX_WHOLE_UNITS = 99_999_999
MAX_NAME, MAX_SEARCH = 255, 2000
MAX_REASON = 200

# Controls, formats, halves of characters and separators; then what is unseen in other categories.
UNSEEN = {"Cc", "Cf", "Cs", "Zl", "Zp", "Zs"}
BLANK = re.compile(
    "VARIATION SELECTOR|(HANGUL|KHITAN).* FILLER|GRAPHEME JOINER|INHERENT|PATTERN BLANK|FULL BLANK|HALF BLANK"
    "|NULL NOTEHEAD"
)

# What a browser's number input sends: https://html.spec.whatwg.org/#valid-floating-point-number
DECIMAL_TEXT = re.compile(r"-?(\d+(\.\d+)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
INTEGER_TEXT = re.compile(r"-?\d+", re.ASCII)
CODE_PATTERN = "^[a-z0-9]([a-z0-9._-]*[a-z0-9])?$"


def read_integer(text: str) -> int:
    """Read an integer, of too many digits only the first."""
    return int(text[:MAX_INTEGER_DIGITS])


def is_storable(text: str) -> bool:
    """Tell whether Postgres has a place for it: not for NUL, nor for half of a character."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


def show_price(price: Decimal, code: str) -> str:
    """Write a price with exactly the decimals of the currency with that code, or as it is if it has more."""
    known = currency(code)
    if known and price == round(price, known.decimals):
        return f"{price:.{known.decimals}f}"
    return f"{price.normalize():f}"


def fold(text: str) -> str:
    """Write a text as it is compared in searches: trimmed, whatever its case and however it is composed."""
    return normalize("NFC", normalize("NFC", text.strip()).casefold())


def _is_seen(character: str) -> bool:
    # What is not assigned yet may be seen, except where Unicode says now that it will not.
    unseen = (
        "\ufff0" <= character < "\ufff9" or "\U000e0000" <= character < "\U000e1000" or character == "\u2065"
    )
    return not (unseen or category(character) in UNSEEN or BLANK.search(name(character, "")))


def _name(text: str) -> str:
    # Composed, a letter has at most four parts; putting many marks in order takes quadratic time.
    if len(text) <= 4 * MAX_NAME:
        text = normalize("NFC", text)
    if len(text) > MAX_NAME:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_NAME})
    if not any(map(_is_seen, text)):
        raise PydanticKnownError("string_too_short", {"min_length": 1})
    return text


def _storable(text: str) -> str:
    if not is_storable(text):
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


def _integer_text(value: object) -> object:
    if isinstance(value, str) and not INTEGER_TEXT.fullmatch(value):
        raise PydanticKnownError("int_parsing")
    return value


def true_or_false(value: object) -> object:
    """Read the two words in any case, and leave all else as it is."""
    choices = {"true": True, "false": False}
    return choices.get(value.lower(), value) if isinstance(value, str) else value


def _own_id(given: UUID, info: ValidationInfo) -> UUID:
    """Compare with the one in the path, unless that is none."""
    try:
        known = UUID(*(info.context or {}).get("path", {}).values())
    except (TypeError, ValueError):
        return given
    if given != known:
        raise PydanticCustomError("read_only", "cannot be changed")
    return given


def _row_id(value: object, read: ValidatorFunctionWrapHandler) -> Any:
    try:
        return read(value)
    except ValidationError:
        raise PydanticCustomError("id_invalid", "must be an id") from None


def only_once(given: object, info: ValidationInfo) -> Any:
    """Compare with what the field is in the items of the list before this one."""
    known = (info.context or {}).setdefault(("given", info.field_name), set())
    if given in known:
        raise PydanticCustomError("duplicate", "must be given only once")
    known.add(given)
    return given


def _default_currency(given: object) -> object:
    if given != settings.default_currency.code:
        raise PydanticCustomError("read_only", "cannot be changed")
    return given


# For the API's document: what the validators say in code.
STORABLE = Field(json_schema_extra={"pattern": r"^[^\u0000]*$"})
STORABLE_AND_NOT_BLANK = Field(
    json_schema_extra={
        "minLength": 1, "maxLength": MAX_NAME, "pattern": r"^[^\u0000]*[^\s\u0000][^\u0000]*$"
    }
)  # fmt: skip
A_PRICE = [
    {"type": "number", "minimum": 0, "exclusiveMaximum": MAX_WHOLE_UNITS + 1},
    {"type": "string", "pattern": r"^[0-9]{1,8}(\.[0-9]+)?$"},
]
AS_THE_CURRENCY_HAS = "No more decimals than the currency has."
AN_INTEGER = {"type": "integer", "minimum": -MAX_INTEGER - 1, "maximum": MAX_INTEGER}
BLANK_IS_0 = "null and an empty text stand for 0."

Kind = TypeVar("Kind")
# Goes around all constraints: pydantic reports one that is around a validator as if a text were a list.
Storable = Annotated[Kind, AfterValidator(_storable), STORABLE]
EMPTY_IS_NULL = AfterValidator(lambda text: text or None)

Text = Storable[StrictStr]
# Folded, and before that composed, no name is as long as this.
SearchText = Annotated[Text, AfterValidator(lambda text: text.strip()[:MAX_SEARCH])]
Name = Annotated[
    StrictStr,
    StringConstraints(strip_whitespace=True),
    AfterValidator(_storable),
    AfterValidator(_name),
    STORABLE_AND_NOT_BLANK,
]
Description = Annotated[
    Storable[Annotated[StrictStr, StringConstraints(max_length=2000)]] | None, EMPTY_IS_NULL
]
Count = Annotated[StrictInt, Field(ge=1, le=MAX_INTEGER)]
Price = Annotated[
    Decimal,
    PlainValidator(_price),
    WithJsonSchema({"anyOf": A_PRICE, "description": AS_THE_CURRENCY_HAS, "examples": ["9.90"]}),
]
SortOrder = Annotated[
    StrictInt,
    Field(ge=-MAX_INTEGER - 1, le=MAX_INTEGER),
    BeforeValidator(lambda value: 0 if value is None or value == "" else value),
    WithJsonSchema({"anyOf": [AN_INTEGER, {"enum": [None, ""]}], "description": BLANK_IS_0}),
]


def _code(text: str | None) -> str | None:
    if text and not re.fullmatch(CODE_PATTERN, text):
        raise PydanticCustomError("code_format", "has characters that it must not have")
    return text or None


MAX_CODE = 64
Code = Annotated[
    Annotated[StrictStr, StringConstraints(max_length=MAX_CODE)] | None,
    AfterValidator(_code),
    WithJsonSchema(
        {"anyOf": [
            {"type": "string", "maxLength": MAX_CODE, "pattern": CODE_PATTERN}, {"enum": [None, ""]}
        ], "description": "Unique; null and an empty text stand for none."}
    ),
]  # fmt: skip
Metadata = Annotated[
    Annotated[
        dict[
            Annotated[StrictStr, StringConstraints(pattern="^[A-Za-z0-9_.-]{1,40}$")],
            Storable[Annotated[StrictStr, StringConstraints(max_length=200)]],
        ],
        Field(max_length=20, json_schema_extra={"additionalProperties": False}),
    ]
    | None,
    AfterValidator(lambda value: value or {}),
    Field(description="Whatever belongs to it elsewhere: never interpreted; null stands for none."),
]

RowId = Annotated[UUID, WrapValidator(_row_id)]
ONLY_ONCE = AfterValidator(only_once)

# Of query parameters, which are all texts.
INTEGER_IN_TEXT = BeforeValidator(_integer_text)
BooleanParameter = Annotated[StrictBool, BeforeValidator(true_or_false)]
# No more than an answer has errors for: what follows is one part, and wrong.
SEPARATED_BY_COMMAS = BeforeValidator(
    lambda value: value.split(",", 100) if isinstance(value, str) else value
)
# For the API's document: of no text there is one part, too.
AT_LEAST_ONE = Field(json_schema_extra={"minItems": 1})


def _reason(text: str) -> str | None:
    text = text.strip()
    if len(text) > MAX_REASON:
        raise PydanticKnownError("string_too_long", {"max_length": MAX_REASON})
    if any(category(character) == "Cc" for character in text):
        raise PydanticCustomError("control_characters", "must not contain control characters")
    return text or None


NO_CONTROLS = {"type": "string", "maxLength": MAX_REASON, "pattern": r"^[^\u0000-\u001f\u007f-\u009f]*$"}
Reason = Annotated[Text, AfterValidator(_reason), WithJsonSchema(NO_CONTROLS)] | None


# Fields that only the server sets, in an update that sends back what was read.
IGNORED: Any = Field(default_factory=str, exclude=True)
Currency = Annotated[Any, AfterValidator(_default_currency), WithJsonSchema({"type": "string"})]


class AsRead(BaseModel, defer_build=True):
    """What an update may send back of a row although only the server sets it."""

    id: Annotated[UUID, AfterValidator(_own_id)] = IGNORED
    version: Annotated[StrictInt, Field(ge=-MAX_BIG_INTEGER - 1, le=MAX_BIG_INTEGER)] = Field(
        default_factory=int, description="The one that is to be changed, and no other."
    )
    created_at: Any = IGNORED
    updated_at: Any = IGNORED
