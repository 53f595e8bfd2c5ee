"""GET …/token-bundles/history."""

from typing import Annotated

from shared.feed import Feed, FeedQuery
from shared.http import Query, Response, endpoint, respond
from shared.token_bundles import feed
from shared.token_bundles.schemas.history import TokenBundleEvent


@endpoint(access="read")
def handler(query: Annotated[FeedQuery, Query()]) -> Response[Feed[TokenBundleEvent]]:
    """List what was done to all token bundles, newest first."""
    return respond(feed.list_events(query))
