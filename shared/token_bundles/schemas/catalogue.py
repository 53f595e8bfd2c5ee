"""The answers to the shop, which Postgres writes."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict


class CatalogueBundle(TypedDict):
    """A bundle as customers see it."""

    id: UUID
    code: str | None
    name: str
    description: str | None
    token_amount: int
    price: Annotated[str, Field(description="With exactly the currency's decimals.")]
    currency: Annotated[str, Field(description="The system's default currency, by its ISO 4217 code.")]
    is_active: bool
    sort_order: int
    created_at: datetime
    updated_at: datetime


class Catalogue(TypedDict):
    """All that is on sale, in display order."""

    bundles: list[CatalogueBundle]


class CatalogueEntry(TypedDict):
    """One bundle in its envelope."""

    bundle: CatalogueBundle
