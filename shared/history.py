"""The history of a row as it is shown: who changed what, and when."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar, cast

from typing_extensions import TypedDict

from shared.database.versioned import Action, Change, Found
from shared.paging import Page, PageQuery, show_page

Row = TypeVar("Row")

Shown = str | int | bool | None
FieldChange = TypedDict("FieldChange", {"from": Shown, "to": Shown})
FieldChange.__doc__ = "A field before and after a change, as it is shown."


class ChangeRead(TypedDict):
    """What was done to a row: by whom, when, and what each changed field was before and after."""

    version: int
    action: Action
    changes: dict[str, FieldChange]
    changed_by: str | None
    client_id: str | None
    request_id: str | None
    changed_at: datetime


def show_history(
    found: Found[Change[Row]], query: PageQuery, editable: Callable[[Row], Mapping[str, Shown]]
) -> Page[ChangeRead]:
    """Show a page of a history, of which one more entry was found: what was there before the oldest shown."""
    fields = [{} if change.after is None else editable(change.after) for change in found.rows]
    items = [
        _show_change(change, before, after)
        for change, after, before in zip(found.rows, fields, [*fields[1:], {}], strict=False)
    ]
    return show_page(items[: query.per_page], found.total, query)


def _show_change(change: Change[Row], before: Mapping[str, Shown], after: Mapping[str, Shown]) -> ChangeRead:
    names = [name for name in after or before if before.get(name) != after.get(name)]
    # With what is created or deleted its currency does not change.
    names = [name for name in names if name != "currency" or (before and after)]
    changes = {name: {"from": before.get(name), "to": after.get(name)} for name in names}
    shown = {name: value for name, value in vars(change).items() if name != "after"}
    return cast("ChangeRead", shown | {"changes": changes})
