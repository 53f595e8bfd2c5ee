"""What a token bundle is at run time."""

from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from shared.settings import settings


@dataclass(kw_only=True)
class TokenBundle:
    """A package of tokens with a price: a row of its table, and the currency that the price is in.

    A field that is added later has a default, which older entries of the history take.
    """

    id: UUID
    code: str | None = None
    name: str
    description: str | None
    token_amount: int
    price: Decimal
    currency: str = field(default_factory=lambda: settings.default_currency.code)
    is_active: bool
    sort_order: int
    metadata: dict[str, str] = field(default_factory=dict)
    version: int
    created_at: datetime
    updated_at: datetime
