"""A change as it is asked for, by whom, why, and whether only to look, and what has come of it."""

from shared import cold_start  # noqa: F401, I001 - before anything large is imported

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Generic, NamedTuple, TypeVar
from uuid import UUID

from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from shared.callers import Caller
from shared.fields import BooleanParameter, Reason
from shared.settings import settings

Answer = TypeVar("Answer")


class ChangeQuery(BaseModel, extra="forbid", defer_build=True):
    """What may stand in the query of a change, and nothing else: one that is misspelt must not write."""

    validate_only: Annotated[
        BooleanParameter, Field(description="Only tell what would come of it, and change nothing.")
    ] = False
    reason: Annotated[Reason, Field(description="Why, for the history.")] = None


class Change:
    """Who asks for a change, whether only to look at what would come of it, and why."""

    query_model: ClassVar = ChangeQuery

    def __init__(self, caller: Caller, *, validate_only: bool = False, reason: str | None = None) -> None:
        self.caller, self.validate_only, self.reason = caller, validate_only, reason

    def entry(self, action: str) -> dict[str, str | None]:
        """Write what the history keeps of it."""
        return {"action": action, "reason": self.reason, **self.caller._asdict()}


class Changed(NamedTuple, Generic[Answer]):
    """What to answer, the version of what there is now, the id of what is new, and if it was replayed."""

    answer: Answer
    version: int | None = None
    created: UUID | None = None
    replayed: bool = False


class Message(TypedDict):
    """A sentence for a person."""

    message: str


def demanding(conditions: Mapping[str, Any], version: int | None = None) -> Mapping[str, Any]:
    """Add to the conditions of a request the version in its body, and whether it must name one of them."""
    is_named = conditions["is_named"] or version is not None
    return {**conditions, "version": version, "unconditional": settings.require_if_match and not is_named}
