"""The shop: a hundred bundles on sale, for those who know them already, and for all others."""

from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.growth import fill
from dev.benchmark.requests import Request
from dev.benchmark.warm import compared, ours_limit_and_peer

CATALOGUE = "/api/v1/token-bundles"
# Of which a hundred are active.
SIZE = 111


def measure(database_url: str, blocks: int, progress: Progress) -> Figures:
    """Time requests with and without the entity tag of what there is."""
    fill(database_url, SIZE)
    askers = ours_limit_and_peer(database_url)
    anyone = Request("GET", CATALOGUE)
    known = [anyone._replace(headers={"if-none-match": ask(anyone).etag}) for ask in askers]
    rows = {"all that is on sale": [anyone] * len(known), "the same, not modified": known}
    return {
        name: compared(
            blocks,
            [(ask, lambda one=one: one) for ask, one in zip(askers, row, strict=True)],  # type: ignore[misc]
        )
        for name, row in progress.track(rows.items(), description="The shop")
    }
