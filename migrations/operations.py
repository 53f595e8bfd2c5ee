"""What migrations do besides Alembic's own operations."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from alembic import op

from shared.settings import settings

COMPLETE_HISTORY = Path(__file__).with_name("complete_history.sql")


def grant(what: str, *privileges: str) -> None:
    """Let the API's role do exactly this with a table, say, if the API has a role of its own."""
    role = settings.database_api_role
    # An owner without its own rights could migrate nothing any more.
    if role and role != unquote(urlsplit(settings.database_url).username or ""):
        op.execute(f'REVOKE ALL ON {what} FROM "{role}"')
        if privileges:
            op.execute(f'GRANT {", ".join(privileges)} ON {what} TO "{role}"')


def keep_history_complete(table: str, noun: str) -> None:
    """Have Postgres refuse what would leave no entry in a table's history, and any change of an entry."""
    op.execute(COMPLETE_HISTORY.read_text().format(table=table, noun=noun))
