"""A simulation of discrete events: requests, the environments of Lambda, the processors of Postgres."""

import heapq
import math
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from random import Random

# Lambda does not say how long: from some minutes to a quarter of an hour.
IDLE_SECONDS = 300.0
QUARTILES_OF_NORMAL = 1.349


@dataclass(frozen=True)
class Times:
    """Seconds that a request takes: a processor of the function, one of Postgres, and a cold start before.

    `spread` is the standard deviation of the logarithm of the two.
    """

    function: float
    postgres: float
    cold: float
    spread: float = 0.0


@dataclass(frozen=True)
class Limits:
    """What refuses requests: a rate with its burst, and how many environments there may be at once."""

    rate: float = 1e9
    burst: float = 1e9
    concurrency: float = 1e9


class Processors:
    """Postgres' processors, of which each does one thing after the other."""

    def __init__(self, number: int) -> None:
        self._free = [0.0] * number
        self.busy = 0.0

    def finish(self, begin: float, seconds: float) -> float:
        """Return when something is done that begins as soon as one is free."""
        end = max(begin, heapq.heappop(self._free)) + seconds
        heapq.heappush(self._free, end)
        self.busy += seconds
        return end


@dataclass
class Function:
    """A function's environments, and what became of the requests to it."""

    times: Times
    limits: Limits
    latencies: list[float] = field(default_factory=list)
    arrived: int = 0
    throttled: int = 0
    refused: int = 0
    cold: int = 0
    most_environments: int = 0

    def __post_init__(self) -> None:
        self._tokens, self._seen = self.limits.burst, 0.0
        # Those whose end is not known yet, when each of the others is done, and since when each of those that
        # are idle is, of which the newest is taken first.
        self._asking = 0
        self._busy: list[float] = []
        self._idle: deque[float] = deque()

    def takes(self, now: float) -> bool:
        """Take a request, unless there are too many."""
        self.arrived += 1
        self._tokens = min(self.limits.burst, self._tokens + (now - self._seen) * self.limits.rate)
        self._seen = now
        if self._tokens < 1:
            self.throttled += 1
            return False
        self._tokens -= 1
        while self._busy and self._busy[0] <= now:
            self._idle.append(heapq.heappop(self._busy))
        while self._idle and self._idle[0] < now - IDLE_SECONDS:
            self._idle.popleft()
        if not self._idle and len(self._busy) + self._asking >= self.limits.concurrency:
            self.refused += 1
            return False
        return True

    def begin(self, now: float, factor: float) -> float:
        """Begin a request in an idle environment, or a new one, and return when it asks Postgres."""
        is_cold = not self._idle
        if not is_cold:
            self._idle.pop()
        self.cold += is_cold
        self._asking += 1
        environments = len(self._busy) + len(self._idle) + self._asking
        self.most_environments = max(self.most_environments, environments)
        return now + self.times.cold * is_cold + self.times.function * factor / 2

    def end(self, began: float, answered: float, factor: float) -> None:
        """Answer a request, which Postgres has answered."""
        end = answered + self.times.function * factor / 2
        self._asking -= 1
        heapq.heappush(self._busy, end)
        self.latencies.append(end - began)


@dataclass(frozen=True)
class Outcome:
    """What became of all requests; the latencies are seconds, in ascending order."""

    seconds: float
    arrived: int
    throttled: int
    refused: int
    cold: int
    latencies: list[float]
    environments: int
    statements: int
    postgres: float

    def percentile(self, part: float) -> float:
        """Return how long such a part of the answers takes at most."""
        return percentile(self.latencies, part)


def simulate(
    functions: dict[str, tuple[Times, Limits]],
    arrivals: Iterable[tuple[float, str]],
    processors: int,
    seconds: float,
    seed: int,
) -> Outcome:
    """Let requests arrive at the functions by their names, all of which share Postgres' processors."""
    random, postgres = Random(seed), Processors(processors)  # noqa: S311 - no secret
    running = {name: Function(times, limits) for name, (times, limits) in functions.items()}
    asking: list[tuple[float, float, float, str]] = []
    with_postgres: list[tuple[float, float]] = []

    def ask_until(now: float) -> None:
        while asking and asking[0][0] <= now:
            asked, began, factor, name = heapq.heappop(asking)
            answered = postgres.finish(asked, running[name].times.postgres * factor)
            with_postgres.append((asked, answered))
            running[name].end(began, answered, factor)

    for now, name in arrivals:
        ask_until(now)
        if running[name].takes(now):
            factor = random.lognormvariate(0, running[name].times.spread)
            heapq.heappush(asking, (running[name].begin(now, factor), now, factor, name))
    ask_until(math.inf)
    all_ = running.values()
    latencies = sorted(latency for function in all_ for latency in function.latencies)
    return Outcome(
        seconds=seconds,
        arrived=sum(function.arrived for function in all_),
        throttled=sum(function.throttled for function in all_),
        refused=sum(function.refused for function in all_),
        cold=sum(function.cold for function in all_),
        latencies=latencies,
        environments=sum(function.most_environments for function in all_),
        statements=_most_at_once(with_postgres),
        postgres=postgres.busy / processors / seconds,
    )


def poisson(rate: float, seconds: float, random: Random) -> Iterator[float]:
    """Return when requests arrive that know nothing of each other."""
    now = 0.0
    while (now := now + random.expovariate(rate)) < seconds:
        yield now


def behind_caches(
    rate: float, seconds: float, caches: int, max_age: float, random: Random, *, are_empty: bool = False
) -> list[float]:
    """Return when requests come through caches that keep an answer for so many seconds.

    They have filled at different times, or are all empty when it begins.
    """
    passed = []
    for _ in range(caches):
        now = 0.0 if are_empty else random.uniform(0, max_age)
        # However long ago the last one came, the next comes as if none had.
        while (now := now + random.expovariate(rate / caches)) < seconds:
            passed.append(now)
            now += max_age
    return sorted(passed)


def mixed(arrivals: Iterable[float], shares: dict[str, float], random: Random) -> Iterator[tuple[float, str]]:
    """Return which function each request is for, given the functions' shares."""
    names, weights = [*shares], [*shares.values()]
    return ((now, random.choices(names, weights)[0]) for now in arrivals)


def spread(first_quartile: float, third_quartile: float) -> float:
    """Return the standard deviation of the logarithm, given the quartiles."""
    return math.log(third_quartile / first_quartile) / QUARTILES_OF_NORMAL


def percentile(ordered: list[float], part: float) -> float:
    """Return the value that such a part of ordered values does not exceed."""
    return ordered[max(0, math.ceil(part * len(ordered)) - 1)] if ordered else math.nan


def _most_at_once(intervals: list[tuple[float, float]]) -> int:
    changes = sorted([(begin, 1) for begin, _ in intervals] + [(end, -1) for _, end in intervals])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
