"""Waiting for what happens elsewhere."""

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from dev.database.postgres import within

WAIT_SECONDS = 30


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, and fail when it does not for too long."""
    assert within(WAIT_SECONDS, condition), f"not within {WAIT_SECONDS} seconds"


def listens(url: str) -> bool:
    """Tell whether there is a server where the URL leads."""
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname, address.port)) == 0
