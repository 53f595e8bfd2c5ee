"""The body of a creation."""

from pydantic import BaseModel, StrictBool

from shared import fields


class TokenBundleCreate(BaseModel, extra="forbid", defer_build=True):
    """What a new bundle is made of."""

    code: fields.Code = None
    name: fields.Name
    description: fields.Description = None
    token_amount: fields.Count
    price: fields.Price
    is_active: StrictBool = True
    sort_order: fields.SortOrder = 0
    metadata: fields.Metadata = {}
