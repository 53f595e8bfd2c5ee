"""The history of bundles as it is shown."""

from uuid import UUID

from shared.history import ChangeRead


class TokenBundleChangeRead(ChangeRead):
    """What was done to a bundle: by whom, when, and what each changed field was before and after."""


class TokenBundleEvent(ChangeRead):
    """What was done to one of all bundles, its name after that, and whether it exists now."""

    bundle_id: UUID
    bundle_name: str
    exists: bool
