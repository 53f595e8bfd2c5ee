"""What a bundle is shown as."""

from datetime import datetime
from typing import Annotated, Any, cast
from uuid import UUID

from pydantic import Field
from typing_extensions import TypedDict

from shared.fields import show_price
from shared.token_bundles.model import TokenBundle


class TokenBundleFields(TypedDict):
    """What of a bundle is known before a change is made."""

    code: str | None
    name: str
    description: str | None
    token_amount: int
    price: Annotated[str, Field(description="With exactly the currency's decimals.")]
    currency: Annotated[str, Field(description="The system's default currency, by its ISO 4217 code.")]
    is_active: bool
    sort_order: int
    metadata: dict[str, str]


class TokenBundleRead(TokenBundleFields):
    """A bundle as it is shown."""

    id: UUID
    version: Annotated[int, Field(description="1 at first, and 1 more with every change.")]
    created_at: datetime
    updated_at: datetime


def show_bundle(bundle: TokenBundle) -> TokenBundleRead:
    """Show a bundle, its price with exactly the decimals of its currency."""
    return cast("TokenBundleRead", vars(bundle) | {"price": show_price(bundle.price, bundle.currency)})


def show_editable_fields(bundle: TokenBundle | None) -> dict[str, Any]:
    """Show the fields of a bundle that its history is about; there are none where there is no bundle."""
    if bundle is None:
        return {}
    shown: dict[str, Any] = {**show_bundle(bundle)}
    return {name: shown[name] for name in TokenBundleFields.__annotations__}


class BundleAnswer(TypedDict):
    """One bundle in its envelope."""

    bundle: TokenBundleRead
