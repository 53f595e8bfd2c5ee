"""A feed of what was done to all rows of a kind, newest first and by key, so that nothing repeats."""

from shared import cold_start  # noqa: F401, I001 - before anything large is imported

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from pydantic import AfterValidator, BaseModel, Field, StrictStr, WithJsonSchema
from pydantic_core import PydanticCustomError
from typing_extensions import TypedDict

from shared.database.versioned import Action, Event
from shared.fields import AT_LEAST_ONE, MAX_INTEGER, SEPARATED_BY_COMMAS, Text
from shared.paging import PerPage

# https://www.rfc-editor.org/rfc/rfc3339#section-5.6
RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII | re.IGNORECASE)
LOST_PLUS = re.compile(r" (?=\d\d:\d\d$)", re.ASCII)

Key = tuple[str, UUID, int]
Item = TypeVar("Item")


def _time(text: str) -> str:
    text = LOST_PLUS.sub("+", text).upper()
    # Of what is no such time there is nothing left, and that is none.
    try:
        time = datetime.fromisoformat(text if RFC_3339.fullmatch(text) else "")
        # Postgres has no offsets of 16 hours and more.
        return time.astimezone(UTC).isoformat()
    except OverflowError:
        # Nothing was done before or after all that can be written.
        return f"{time.year:04}-{'01-01' if time.year == 1 else '12-31'}T00:00:00Z"
    except ValueError:
        raise PydanticCustomError("datetime_invalid", "must be a date and time") from None


def _key(text: str) -> Key:
    try:
        time, row_id, version = text.split("~")
        return _time(time), UUID(row_id), min(int(version), MAX_INTEGER)
    except (ValueError, PydanticCustomError):
        raise PydanticCustomError("key_invalid", "must be what `next` said") from None


def _write_key(event: Event[Any]) -> str:
    time = event["change"].changed_at
    return f"{time.isoformat().replace('+00:00', 'Z')}~{event['row_id']}~{event['change'].version}"


Time = Annotated[StrictStr, AfterValidator(_time), WithJsonSchema({"type": "string", "format": "date-time"})]


class FeedQuery(BaseModel, defer_build=True):
    """Which changes to show."""

    per_page: PerPage = 20
    after: Annotated[
        Annotated[StrictStr, AfterValidator(_key), WithJsonSchema({"type": "string"})] | None,
        Field(description="What `next` said: only what comes after that."),
    ] = None
    changed_by: Annotated[Text | None, Field(description="Only changes by this subject of a token.")] = None
    action: Annotated[
        Annotated[tuple[Action, ...], SEPARATED_BY_COMMAS, AT_LEAST_ONE] | None,
        Field(description="Only these actions."),
    ] = None
    since: Annotated[Time | None, Field(description="Only changes at this time, or later.")] = None
    until: Annotated[Time | None, Field(description="Only changes before this time.")] = None


class Feed(TypedDict, Generic[Item]):
    """Some changes, and what to ask for as `after` to see what comes after them, if anything does."""

    items: list[Item]
    next: str | None


def next_key(events: list[Event[Any]], query: FeedQuery) -> str | None:
    """Write the key of the last event that is shown, if one more was found."""
    return _write_key(events[query.per_page - 1]) if len(events) > query.per_page else None
