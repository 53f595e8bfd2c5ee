"""The history of bundles as it is shown."""

from typing import Any
from uuid import UUID

from shared.differences import Shown
from shared.history import ChangeRead
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.schemas.read import TokenBundleFields, show_bundle


class TokenBundleChangeRead(ChangeRead):
    """What was done to a bundle: by whom, when, and what each changed field was before and after."""


class TokenBundleEvent(ChangeRead):
    """What was done to one of all bundles, its name after that, and whether it exists now."""

    bundle_id: UUID
    bundle_name: str
    exists: bool


def show_editable_fields(bundle: TokenBundle | None) -> dict[str, Shown]:
    """Show the fields of a bundle that its history is about; there are none where there is no bundle."""
    if bundle is None:
        return {}
    shown: dict[str, Any] = {**show_bundle(bundle)}
    return {name: shown[name] for name in TokenBundleFields.__annotations__}
