"""Many changes at once, and changes that are only looked at: as ratios to single changes that are made."""

import itertools
import json
from statistics import median

from rich.progress import Progress

from dev.benchmark import Figures
from dev.benchmark.growth import SIZES, fill
from dev.benchmark.requests import Request, ask_ours, requests

MANY = 100
WARM_UP = 10
LOOK = {"validate_only": "true"}


def measure(database_url: str, times: int, progress: Progress) -> Figures:
    """Time single changes, changes of a hundred and previews in turn, among a thousand bundles."""
    fill(database_url, SIZES[0])
    routes = requests(ask_ours)
    ids = [json.loads(ask_ours(routes["POST"]()).body)["bundle"]["id"] for _ in range(MANY)]
    prices = (f"{number}.10" for number in itertools.count(1))
    made = {name: routes[name] for name in ("PUT", "POST", "DELETE")}
    made["PATCH of 100"] = lambda: Request(
        "PATCH", body={"bundles": [{"id": each, "price": next(prices)} for each in ids]}
    )
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
