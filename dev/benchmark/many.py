"""Many changes at once, and changes that are only looked at: as ratios to single changes that are made."""

import itertools
import json
from statistics import median
from typing import TYPE_CHECKING

from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.requests import BUNDLES, NEW, Request, ask_ours

if TYPE_CHECKING:
    from collections.abc import Callable

MANY = 100
WARM_UP = 10
LOOK = {"validate_only": "true"}


def measure(times: int, progress: Progress) -> Figures:
    """Time single changes, changes of a hundred and previews in turn, among the bundles that are there."""
    ids = [_create() for _ in range(MANY)]
    one = f"{BUNDLES}/{ids[0]}"
    prices = (f"{number}.10" for number in itertools.count(1))
    bodies = ({"price": price} for price in prices)
    made: dict[str, Callable[[], Request]] = {
        "PUT": lambda: Request("PUT", one, next(bodies)),
        "PATCH of 100": lambda: Request(
            "PATCH", body={"bundles": [{"id": each, **next(bodies)} for each in ids]}
        ),
        "POST": lambda: Request("POST", body=NEW),
        "DELETE": lambda: Request("DELETE", f"{BUNDLES}/{_create()}"),
    }
    taken: dict[str, list[float]] = {f"{name}{kind}": [] for name in made for kind in ("", ", looked at")}
    for _ in progress.track(range(WARM_UP + times), description="Many at once"):
        for name, prepare in made.items():
            request = prepare()
            taken[f"{name}, looked at"].append(ask_ours(request._replace(query=LOOK)).wall)
            taken[name].append(ask_ours(request).wall)
    middle = {name: median(walls[WARM_UP:]) for name, walls in taken.items()}
    return {
        name: {
            "ours": microseconds,
            "/ PUT": microseconds / middle["PUT"],
            **({"looked at / made": middle[f"{name}, looked at"] / microseconds} if name in made else {}),
        }
        for name, microseconds in middle.items()
    }


def _create() -> str:
    created: str = json.loads(ask_ours(Request("POST", body=NEW)).body)["bundle"]["id"]
    return created
