"""What was done to all bundles."""

from typing import cast

from shared.database import reading
from shared.database.versioned import Event
from shared.feed import Feed, FeedQuery, next_key
from shared.history import show_change
from shared.token_bundles.model import TokenBundle
from shared.token_bundles.repository import BUNDLES
from shared.token_bundles.schemas.history import TokenBundleEvent
from shared.token_bundles.schemas.read import show_editable_fields


def list_events(query: FeedQuery) -> Feed[TokenBundleEvent]:
    """Show some of what was done to all bundles, newest first."""
    after = query.after or (None, None, None)
    with reading() as connection:
        events = BUNDLES.feed(
            connection,
            query.changed_by,
            query.since,
            query.until,
            *after,
            actions=query.action or (),
            limit=query.per_page + 1,
        )
    return {"items": [*map(_show, events[: query.per_page])], "next": next_key(events, query)}


def _show(event: Event[TokenBundle]) -> TokenBundleEvent:
    before, after = (show_editable_fields(row) for row in (event["before"], event["change"].after))
    bundle = {
        "bundle_id": event["row_id"],
        "bundle_name": (after or before)["name"],
        "exists": event["exists"],
    }
    return cast("TokenBundleEvent", bundle | show_change(event["change"], before, after))
