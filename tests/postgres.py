"""What tests do to a Postgres behind the back of the code under test."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pg8000.native

EMPTY = "TRUNCATE token_bundle, token_bundle_change, token_bundle_idempotency_key"


def connected(url: str, user: str | None = None, **options: Any) -> pg8000.native.Connection:
    """Connect to the database of a URL, as the user in it or as another."""
    server = urlsplit(url)
    return pg8000.native.Connection(
        user or server.username or "postgres",
        host=server.hostname,
        port=server.port,
        database=server.path.strip("/") or "postgres",
        ssl_context=False,
        **options,
    )


def execute(url: str, *statements: str, user: str | None = None) -> Any:
    """Execute the statements, each in a transaction of its own, and return the rows of the last one."""
    rows = None
    with connected(url, user) as connection:
        for statement in statements:
            rows = connection.run(statement)
    return rows


def server_pid(folder: Path) -> int:
    """Read which process serves the data in a folder."""
    return int((folder / "postmaster.pid").read_text().split()[0])
