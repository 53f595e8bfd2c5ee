"""The body of an update."""

from decimal import Decimal

from pydantic import Field, StrictBool

from shared import fields


class TokenBundleUpdate(fields.AsRead, extra="forbid", defer_build=True):
    """What to change in a bundle; a field that is absent stays as it is, and its default is never read."""

    code: fields.Code = Field(default_factory=str)
    name: fields.Name = Field(default_factory=str)
    description: fields.Description = Field(default_factory=str)
    token_amount: fields.Count = Field(default_factory=int)
    price: fields.Price = Field(default_factory=Decimal)
    is_active: StrictBool = Field(default_factory=bool)
    sort_order: fields.SortOrder = Field(default_factory=int)
    metadata: fields.Metadata = Field(default_factory=dict)
    currency: fields.Currency = fields.IGNORED
