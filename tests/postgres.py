"""What tests do to a Postgres behind the back of the code under test."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pg8000.native

# The tables of all resources, as only a superuser can: the history is there to stay.
EMPTY = """DO $$ BEGIN
    SET LOCAL session_replication_role = replica;
    EXECUTE (
        SELECT 'TRUNCATE ' || string_agg(oid::regclass::text, ', ') FROM pg_class
        WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
            AND relname NOT IN ('alembic_version', 'default_currency')
    );
END $$"""


def recorded(change: str, action: str) -> str:
    """Complete a statement on bundles with the entries that the history must have of it."""
    return f"""
        WITH changed AS ({change} RETURNING *)
        INSERT INTO token_bundle_change (bundle_id, version, action, bundle)
        SELECT id, version, '{action}', to_jsonb(changed) FROM changed
        RETURNING bundle_id::text
    """


def connected(url: str, user: str | None = None, **options: Any) -> pg8000.native.Connection:
    """Connect to the database of a URL, as the user in it or as another."""
    server = urlsplit(as_role(url, user) if user else url)
    return pg8000.native.Connection(
        server.username or "postgres",
        password=server.password,
        host=server.hostname,
        port=server.port,
        database=server.path.strip("/") or "postgres",
        ssl_context=False,
        **options,
    )


def as_role(url: str, role: str) -> str:
    """Give a role the password of the user in a URL, and return the URL for it."""
    server = urlsplit(url)
    execute(url, f"ALTER ROLE {role} PASSWORD '{server.password}'")
    place = server.netloc.rpartition("@")[2]
    return server._replace(netloc=f"{role}:{server.password}@{place}").geturl()


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
