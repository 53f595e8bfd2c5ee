"""`make capacity`: write docs/capacity.md and its picture, from what `make bench` has measured last."""

import json
import os
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from random import Random
from typing import Any

from dev.capacity import check, picture
from dev.capacity.simulation import (
    Limits,
    Outcome,
    Times,
    behind_caches,
    mixed,
    poisson,
    simulate,
    spread,
)
from dev.gateway.template import load_document
from dev.local import ROOT, TEMPLATE, UserError, folder

SEED = 1
TEXT = Path(__file__).with_name("page.md")
PAGE, PICTURE = ROOT / "docs/capacity.md", ROOT / "docs/capacity.svg"

# Assumed, as the page says.
PROCESSOR_MEGABYTES, POSTGRES_PROCESSORS, CONNECTIONS = 1769, 2, 97
START_SECONDS, NETWORK_SECONDS, COMMIT_SECONDS = 0.15, 0.0005, 0.0015
CACHES = 20
# Dollars, as listed for us-east-1: a million requests each, and a second of a gigabyte on arm64.
API_GATEWAY, LAMBDA, CDN, GIGABYTE_SECOND = 1.00, 0.20, 1.00, 0.0000133334
MONTH = 30 * 24 * 3600
FULL, SOME = 0.8, 0.0005

SHOP = "list_catalogue"
# How long is simulated, by requests a second.
SHOP_SECONDS = {1: 3600, 100: 600, 10_000: 60}
ADMIN_SECONDS = {1: 7200, 5: 3600, 10: 3600, 20: 1800, 50: 1800}
CURVE = [10 ** (step / 4) for step in range(17)]
CURVE_REQUESTS, CURVE_SECONDS, CACHED_SECONDS = 40_000, 60, 24 * 3600
# Each function's part of the requests of admins, and what these are called in the benchmark.
ADMINS = {
    "list_token_bundles": (0.50, "page of 20"),
    "get_token_bundle": (0.25, "GET one"),
    "update_token_bundle": (0.15, "PUT"),
    "create_token_bundle": (0.05, "POST"),
    "delete_token_bundle": (0.05, "DELETE"),
}
WRITES = {"PUT", "POST", "DELETE"}
RAISED = Limits(rate=20_000, burst=20_000, concurrency=90)
COLUMNS = """\
| requests/s | at the API | refused | environments | cold | p50, ms | p99, ms | connections | with a pooler \
| Postgres | a month | what breaks |
| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |"""


class Deployment:
    """What was measured, in a deployment with the template's own parameters."""

    def __init__(self, benchmark: dict[str, Any]) -> None:
        template = load_document(TEMPLATE.read_text())
        self.benchmark = benchmark
        self.parameters = {name: one.get("Default") for name, one in template["Parameters"].items()}
        self.megabytes: int = template["Globals"]["Function"]["MemorySize"]

    def times(self, function: str, row: dict[str, float], wait: float = 0.0) -> Times:
        """Return the times of a request, which in the benchmark are microseconds."""
        computing = row["CPU, ours"] * PROCESSOR_MEGABYTES / self.megabytes
        cold = self.benchmark["A cold start and its first request"][function]["CPU, ms"] / 1000
        return Times(
            function=computing / 1e6 + NETWORK_SECONDS + wait,
            postgres=(row["ours"] - row["CPU, ours"]) / 1e6,
            cold=cold + START_SECONDS,
            spread=spread(row["1st quartile"], row["3rd quartile"]),
        )

    @cached_property
    def shop(self) -> tuple[Times, Limits]:
        """The times and limits of the shop's list."""
        names = ("CatalogueThrottlingRate", "CatalogueThrottlingBurst", "CatalogueConcurrency")
        row = self.benchmark["The shop, in microseconds"]["all that is on sale"]
        return self.times(SHOP, row), Limits(*(self.parameters[name] for name in names))

    @cached_property
    def admins(self) -> dict[str, tuple[Times, Limits]]:
        """The times and limits of the functions for admins."""
        limits = Limits(concurrency=self.parameters["ReservedConcurrency"])
        rows = self.benchmark["A warm request, in microseconds"]
        return {
            name: (self.times(name, rows[row], COMMIT_SECONDS * (row in WRITES)), limits)
            for name, (_, row) in ADMINS.items()
        }

    def simulate_shop(
        self, arrivals: Iterable[float], seconds: float, limits: Limits | None = None
    ) -> Outcome:
        """Let customers come to the shop."""
        times, own = self.shop
        requests = ((now, SHOP) for now in arrivals)
        return simulate({SHOP: (times, limits or own)}, requests, POSTGRES_PROCESSORS, seconds, SEED)

    def directly(self, rate: float, seconds: float, limits: Limits | None = None) -> Outcome:
        """Let customers come without a CDN."""
        random = Random(SEED)  # noqa: S311 - no secret
        return self.simulate_shop(poisson(rate, seconds, random), seconds, limits)

    def through_a_cdn(self, rate: float, seconds: float, *, are_empty: bool = False) -> Outcome:
        """Let customers come through the caches of a CDN, which may all be empty at first."""
        random, max_age = Random(SEED), self.parameters["CatalogueMaxAge"]  # noqa: S311 - no secret
        arrivals = behind_caches(rate, seconds, CACHES, max_age, random, are_empty=are_empty)
        return self.simulate_shop(arrivals, seconds)

    def simulate_admins(self, rate: float, seconds: float) -> Outcome:
        """Let admins work."""
        random = Random(SEED)  # noqa: S311 - no secret
        shares = {name: share for name, (share, _) in ADMINS.items()}
        requests = mixed(poisson(rate, seconds, random), shares, random)
        return simulate(self.admins, requests, POSTGRES_PROCESSORS, seconds, SEED)

    def row(
        self, name: str, outcome: Outcome, concurrency: str = "CatalogueConcurrency", *, at_cdn: float = 0.0
    ) -> str:
        """Write a row of COLUMNS, given the parameter of the concurrency, and requests a second at a CDN."""
        refused = outcome.throttled + outcome.refused
        answered = outcome.arrived - refused
        gigabyte_seconds = sum(outcome.latencies) * self.megabytes / 1024
        dollars = answered * (API_GATEWAY + LAMBDA) / 1e6 + gigabyte_seconds * GIGABYTE_SECOND
        dollars = dollars * MONTH / outcome.seconds + at_cdn * MONTH * CDN / 1e6
        return _row(
            name,
            f"{outcome.arrived / outcome.seconds:,.2f}",
            f"{refused / outcome.arrived:.2%}",
            f"{outcome.environments}",
            f"{outcome.cold / answered:.2%}",
            f"{outcome.percentile(0.50) * 1000:.1f}",
            f"{outcome.percentile(0.99) * 1000:.1f}",
            f"{outcome.environments}",
            f"{outcome.statements}",
            f"{outcome.postgres:.1%}",
            f"${dollars:,.2f}",
            _broken(outcome, concurrency),
        )

    def shop_rows(self) -> Iterator[str]:
        """Write what becomes of customers."""
        for rate, seconds in SHOP_SECONDS.items():
            yield self.row(f"{rate:,}", self.directly(rate, seconds))
            cached = self.through_a_cdn(rate, CACHED_SECONDS)
            yield self.row(f"{rate:,} with a CDN", cached, at_cdn=rate)
        empty = self.through_a_cdn(rate, seconds, are_empty=True)
        yield self.row(f"{rate:,} with an empty CDN", empty, at_cdn=rate)
        yield self.row(f"{rate:,}, limits raised", self.directly(rate, seconds, RAISED))

    def admin_rows(self) -> Iterator[str]:
        """Write what becomes of admins."""
        for rate, seconds in ADMIN_SECONDS.items():
            yield self.row(f"{rate:,}", self.simulate_admins(rate, seconds), "ReservedConcurrency")

    def ceilings(self) -> list[tuple[float, str, str]]:
        """Say from how many requests a second on the shop meets what, and what to turn then."""
        times, limits = self.shop
        each = times.function + times.postgres
        return sorted([
            (limits.rate, "API Gateway throttles the route", "a CDN, or `CatalogueThrottlingRate`"),
            (limits.concurrency / each, "all environments are busy", "`CatalogueConcurrency`"),
            (POSTGRES_PROCESSORS / times.postgres, "Postgres' processors are", "a CDN, or a larger instance"),
            (CONNECTIONS / each, "so are its connections", "a pooler, with `DatabasePooled`"),
        ])  # fmt: skip

    def curves(self) -> dict[str, list[tuple[float, Outcome]]]:
        """Simulate the shop from one customer a second to thousands."""
        seconds = {rate: max(CURVE_REQUESTS / rate, CURVE_SECONDS) for rate in CURVE}
        return {
            "as deployed": [(rate, self.directly(rate, seconds[rate])) for rate in CURVE],
            "limits raised": [(rate, self.directly(rate, seconds[rate], RAISED)) for rate in CURVE],
            "as deployed, behind a CDN": [(rate, self.through_a_cdn(rate, CACHED_SECONDS)) for rate in CURVE],
        }


def main() -> None:
    """Simulate, compare one point with the running API, and write."""
    try:
        benchmark = json.loads((folder() / "benchmark.json").read_text())
    except FileNotFoundError:
        raise UserError("Nothing has been measured yet: run `make bench` first.") from None
    deployment = Deployment(benchmark)
    compared = check.compare(SEED)
    functions = {SHOP: deployment.shop, **deployment.admins}
    parameters = deployment.parameters
    text = TEXT.read_text().format(
        **{name: benchmark[name] for name in ("machine", "python")},
        megabytes=deployment.megabytes,
        whole=PROCESSOR_MEGABYTES,
        times=_lines(_times(name, times) for name, (times, _) in functions.items()),
        network=NETWORK_SECONDS * 1000,
        commit=COMMIT_SECONDS * 1000,
        start=round(START_SECONDS * 1000),
        caches=CACHES,
        processors=POSTGRES_PROCESSORS,
        connections=CONNECTIONS,
        shares=", ".join(f"{share:.0%} {row}" for share, row in ADMINS.values()),
        columns=COLUMNS,
        shop=_lines(deployment.shop_rows()),
        raised_rate=f"{RAISED.rate:,}",
        raised_concurrency=RAISED.concurrency,
        ceilings=_lines(_row(f"{rate:,.0f}", *said) for rate, *said in deployment.ceilings()),
        admins=_lines(deployment.admin_rows()),
        throttling=parameters["ThrottlingRate"],
        concurrency=parameters["ReservedConcurrency"],
        workers=check.WORKERS,
        cores=os.cpu_count(),
        seconds=round(check.SECONDS),
        rate=round(compared.rate),
        load=f"{check.LOAD:.0%}",
        compared=_lines(_compared(*row) for row in compared.rows),
    )
    print("\n".join(text.splitlines()[-4:]))
    PAGE.write_text(text)
    picture.draw(PICTURE, deployment.curves())
    print(f"Written: {PAGE.relative_to(ROOT)}, {PICTURE.relative_to(ROOT)}")


def _times(name: str, times: Times) -> str:
    milliseconds = (times.function * 1000, times.postgres * 1000, times.cold * 1000)
    return _row(f"`{name}`", *(f"{one:,.3g}" for one in milliseconds))


def _compared(name: str, simulated: float, measured: float) -> str:
    difference = f"{simulated / measured - 1:+.0%}"
    return _row(name, f"{simulated * 1000:.1f}", f"{measured * 1000:.1f}", difference)


def _broken(outcome: Outcome, concurrency: str) -> str:
    if outcome.throttled:
        return "the rate: a CDN, or `CatalogueThrottlingRate`"
    if outcome.environments > CONNECTIONS:
        return "connections: a pooler, with `DatabasePooled`"
    if outcome.postgres > FULL:
        return "Postgres' processors: a CDN, or a larger instance"
    return f"concurrency: `{concurrency}`" if outcome.refused > SOME * outcome.arrived else "nothing"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _lines(rows: Iterator[str]) -> str:
    return "\n".join(rows)


if __name__ == "__main__":
    main()
