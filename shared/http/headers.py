"""Headers that an endpoint's function may have as parameters."""

from typing import Annotated, NamedTuple

from pydantic import AfterValidator, StringConstraints, ValidationInfo
from pydantic_core import PydanticCustomError


class Header(NamedTuple):
    """Marks a parameter that is the value of a header."""

    name: str
    description: str
    example: str | None = None


def _of_somebody(key: str, info: ValidationInfo) -> str:
    caller = (info.context or {})["caller"]
    if not caller.subject and not caller.client_id:
        raise PydanticCustomError("caller_unknown", "cannot be used with a token that names nobody")
    return key


IdempotencyKey = Annotated[
    Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e]{1,255}$"), AfterValidator(_of_somebody)] | None,
    Header(
        "Idempotency-Key",
        "Create nothing when this key has been used in the last 24 hours.",
        example="0b6a2f3c-7a53-4d0e-9a55-5f0f6ad3c6f1",
    ),
]
