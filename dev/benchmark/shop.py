"""The shop: a hundred bundles on sale, for those who know them already, and for all others."""

from rich.progress import Progress

from dev.benchmark import Figures, limit
from dev.benchmark.growth import fill
from dev.benchmark.requests import Request, ask_ours, asking
from dev.benchmark.warm import compared

CATALOGUE = "/api/v1/token-bundles"
# Of which a hundred are active.
SIZE = 111


def measure(database_url: str, blocks: int, progress: Progress) -> Figures:
    """Time requests with and without the entity tag of what there is."""
    from dev.benchmark import peer

    fill(database_url, SIZE)
    limits = limit.handlers(database_url)
    ours_limit_and_peer = (
        ask_ours,
        asking(lambda function: limits[function.module]),
        asking(lambda _: peer.handler),
    )
    anyone = Request("GET", CATALOGUE)
    known = [anyone._replace(headers={"if-none-match": ask(anyone).etag}) for ask in ours_limit_and_peer]
    rows = {"all that is on sale": [anyone] * len(known), "the same, not modified": known}
    return {
        name: compared(
            blocks,
            [(ask, lambda one=one: one) for ask, one in zip(ours_limit_and_peer, row, strict=True)],  # type: ignore[misc]
        )
        for name, row in progress.track(rows.items(), description="The shop")
    }
