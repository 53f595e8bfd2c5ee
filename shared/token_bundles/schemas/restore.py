"""The body of a restoration."""

from typing import Annotated

from pydantic import BaseModel, Field, StrictInt

from shared.fields import MAX_BIG_INTEGER


class TokenBundleRestore(BaseModel, extra="forbid", defer_build=True):
    """Which version of a bundle to bring back."""

    version: Annotated[
        StrictInt, Field(ge=1, le=MAX_BIG_INTEGER, description="One of its history, but not its deletion.")
    ]
