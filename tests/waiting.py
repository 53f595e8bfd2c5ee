"""Waiting for what happens elsewhere."""

from collections.abc import Callable

from dev.database.postgres import within

WAIT_SECONDS = 30


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, and fail when it does not for too long."""
    assert within(WAIT_SECONDS, condition), f"not within {WAIT_SECONDS} seconds"
