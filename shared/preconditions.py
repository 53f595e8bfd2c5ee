"""What a change demands of the row as it is now."""

from typing import NamedTuple


class Preconditions(NamedTuple):
    """The versions of which a row must have one and must have none, and the one a change was made from."""

    expected: frozenset[int] | None = None
    excluded: frozenset[int] | None = None
    version: int | None = None


UNCONDITIONAL = Preconditions()
