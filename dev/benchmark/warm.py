"""A warm environment: what each route takes, and how often it waits for the database."""

import itertools
import json
import os
from collections.abc import Callable, Sequence
from statistics import median, quantiles
from typing import Any

from sqlalchemy import make_url

from dev.benchmark.contenders import Contender, Functions, Peer, Request, SpeedLimit
from tests.client import BUNDLES
from tests.proxy import Proxy

NEW = {"name": "Benchmark", "token_amount": 1000, "price": "9.90"}
HISTORY = 20
# Contenders take turns in blocks: request by request each would find the processor's caches full of another.
BLOCK = 25
WARM_UP_BLOCKS = 2

Advance = Callable[[], None]
Times = dict[str, Any]


class Routes:
    """The requests of each route, on bundles of one contender."""

    def __init__(self, contender: Contender) -> None:
        """Create what the routes work on."""
        self.contender = contender
        self.bundle = self._create()
        self.numbers = itertools.count()
        for number in range(HISTORY):
            contender.ask(Request("PUT", self.bundle, {"price": f"{number}.10"}))

    def _create(self) -> str:
        created = self.contender.ask(Request("POST", BUNDLES, NEW))
        assert created.status == 201, created.body  # noqa: S101, PLR2004 - it would measure errors
        return f"{BUNDLES}/{json.loads(created.body)['bundle']['id']}"

    def next(self, name: str) -> Request:
        """Prepare what the route needs, and give its next request."""
        number = next(self.numbers)
        match name:
            case "POST with a key":
                request = Request("POST", BUNDLES, NEW, headers={"idempotency-key": f"{id(self)}-{number}"})
            case "PUT":
                request = Request("PUT", self.bundle, {"price": f"{number % 90}.{number % 7}1"})
            case "deactivate" | "activate":
                opposite = "activate" if name == "deactivate" else "deactivate"
                self.contender.ask(Request("POST", f"{self.bundle}/{opposite}"))
                request = Request("POST", f"{self.bundle}/{name}")
            case "DELETE":
                request = Request("DELETE", self._create())
            case _:
                request = self._fixed[name]
        return request

    @property
    def _fixed(self) -> dict[str, Request]:
        return {
            "GET one": Request("GET", self.bundle),
            "GET history": Request("GET", f"{self.bundle}/history"),
            "page of 20": Request("GET", BUNDLES),
            "page of 100": Request("GET", BUNDLES, query={"per_page": "100"}),
            "POST": Request("POST", BUNDLES, NEW),
        }


NAMES = (
    "GET one",
    "page of 20",
    "page of 100",
    "GET history",
    "POST",
    "POST with a key",
    "PUT",
    "activate",
    "deactivate",
    "DELETE",
)


def time_routes(database_url: str, blocks: int, advance: Advance) -> dict[str, dict[str, Times]]:
    """Time each route of each contender in turn, and give medians and quartiles in microseconds."""
    contenders: Sequence[Contender] = [Functions(), SpeedLimit(database_url), Peer()]
    results: dict[str, dict[str, Times]] = {}
    routes = [Routes(contender) for contender in contenders]
    for name in NAMES:
        samples: dict[str, list[Any]] = {contender.name: [] for contender in contenders}
        for turn in range(WARM_UP_BLOCKS + blocks):
            for contender, own in zip(contenders, routes, strict=True):
                taken = [contender.ask(own.next(name)) for _ in range(BLOCK)]
                failed = [sample for sample in taken if sample.status not in {200, 201}]
                assert not failed, failed  # noqa: S101 - it would measure errors
                if turn >= WARM_UP_BLOCKS:
                    samples[contender.name] += taken
        results[name] = {
            who: {
                "wall": median(sample.wall for sample in taken) * 1e6,
                "cpu": sum(sample.cpu for sample in taken) / len(taken) * 1e6,
                "wall_quartiles": [part * 1e6 for part in quantiles(sample.wall for sample in taken)],
            }
            for who, taken in samples.items()
        }
        advance()
    return results


def count_round_trips(database_url: str) -> dict[str, int]:
    """Count at the socket how often each route of ours waits for the database; the first has to connect."""
    from shared.database import engine
    from shared.settings import settings

    with Proxy(database_url) as proxy:
        use_database(make_url(proxy.url).render_as_string(hide_password=False))
        functions = Functions()
        functions.ask(Request("GET", f"{BUNDLES}/00000000-0000-0000-0000-000000000000"))
        counts = {"first GET": proxy.round_trips}
        routes = Routes(functions)
        for name in NAMES:
            request = routes.next(name)
            before = proxy.round_trips
            functions.ask(request)
            counts[name] = proxy.round_trips - before
        engine.engine().dispose()
        use_database(database_url)
    assert settings.database_url == database_url  # noqa: S101
    return counts


def use_database(database_url: str) -> None:
    """Have the functions connect anew, to another database."""
    from shared.database import engine
    from shared.settings import settings

    os.environ["DATABASE_URL"] = database_url
    settings.__dict__.pop("database_url", None)
    engine.engine.cache_clear()
