"""What differs between a row before and after a change, as it is shown."""

from collections.abc import Mapping

from typing_extensions import TypedDict

Shown = str | int | bool | dict[str, str] | None
FieldChange = TypedDict("FieldChange", {"from": Shown, "to": Shown})
FieldChange.__doc__ = "A field before and after a change, as it is shown."


def show_differences(before: Mapping[str, Shown], after: Mapping[str, Shown]) -> dict[str, FieldChange]:
    """Show which fields have changed; before a creation and after a deletion there are none."""
    names = [name for name in after or before if before.get(name) != after.get(name)]
    # With what is created or deleted its currency does not change.
    names = [name for name in names if name != "currency" or (before and after)]
    return {name: {"from": before.get(name), "to": after.get(name)} for name in names}
