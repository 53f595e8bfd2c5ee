"""The history of a row as it is shown: who changed what, and when."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeVar

from typing_extensions import TypedDict

from shared.database.versioned import Action, Change, Found
from shared.differences import FieldChange, Shown, show_differences
from shared.paging import Page, PageQuery, show_page

Row = TypeVar("Row")


class ChangeRead(TypedDict):
    """What was done to a row: by whom, when, and what each changed field was before and after."""

    version: int
    action: Action
    changes: dict[str, FieldChange]
    changed_by: str | None
    client_id: str | None
    request_id: str | None
    reason: str | None
    changed_at: datetime


def show_history(
    found: Found[Change[Row]], query: PageQuery, editable: Callable[[Row | None], Mapping[str, Shown]]
) -> Page[Any]:
    """Show a page of a history, of which one more entry was found: what was there before the oldest shown."""
    fields = [editable(change.after) for change in found.rows]
    items = [
        show_change(change, before, after)
        for change, after, before in zip(found.rows, fields, [*fields[1:], {}], strict=False)
    ]
    return show_page(items[: query.per_page], found.total, query)


def show_change(
    change: Change[Row], before: Mapping[str, Shown], after: Mapping[str, Shown]
) -> dict[str, Any]:
    """Show an entry of a history, given the fields before and after it, as they are shown."""
    shown = {name: value for name, value in vars(change).items() if name != "after"}
    return shown | {"changes": show_differences(before, after)}
