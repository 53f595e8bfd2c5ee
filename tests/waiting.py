"""Waiting for what happens elsewhere."""

import socket
import time
from collections.abc import Callable
from urllib.parse import urlsplit

WAIT_SECONDS = 30


def until(condition: Callable[[], object]) -> None:
    """Wait until the condition holds, and fail when it does not for too long."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not within {WAIT_SECONDS} seconds"
        time.sleep(0.02)


def listens(url: str) -> bool:
    """Tell whether there is a server where the URL leads."""
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname, address.port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True
