"""The answer to a change that is only looked at."""

from datetime import datetime
from typing import Literal, NotRequired
from uuid import UUID

from typing_extensions import TypedDict

from shared.differences import FieldChange
from shared.token_bundles.schemas.read import TokenBundleFields

WarningCode = Literal[
    "price_changed_much", "price_per_token_unusual", "dominated", "same_name", "last_active"
]


class Warned(TypedDict):
    """What is worth a second look, and which field it is about."""

    code: WarningCode
    pointer: str
    detail: str


class RowWarned(TypedDict):
    """What is worth a second look, and in which row of a file."""

    code: WarningCode
    row: int
    column: str
    detail: str


class TokenBundlePreview(TokenBundleFields):
    """A bundle as it would be."""

    id: NotRequired[UUID]
    created_at: NotRequired[datetime]


class BundlePreview(TypedDict):
    """What would come of a change of one bundle."""

    validate_only: Literal[True]
    bundle: TokenBundlePreview
    changes: dict[str, FieldChange]
    warnings: list[Warned]


class DeletionPreview(TypedDict):
    """What would come of a deletion."""

    validate_only: Literal[True]
    message: str
    changes: dict[str, FieldChange]
    warnings: list[Warned]


class BundlesPreview(TypedDict):
    """What would come of a change of many bundles, in their order."""

    validate_only: Literal[True]
    bundles: list[TokenBundlePreview]
    changes: list[dict[str, FieldChange]]
    warnings: list[Warned]
