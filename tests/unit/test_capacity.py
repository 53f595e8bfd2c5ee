"""The simulation of what the deployment carries, where it is known what must come out."""

from itertools import pairwise
from random import Random

import pytest

from dev.capacity.simulation import Limits, Times, behind_caches, percentile, poisson, simulate, spread

SECONDS = 2000.0


def arrivals(rate: float, seconds: float = SECONDS) -> list[tuple[float, str]]:
    return [(now, "f") for now in poisson(rate, seconds, Random(1))]  # noqa: S311 - no secret


def test_a_queue_of_one_server_waits_as_theory_says() -> None:
    # Half busy, with equal times, it waits for half a time on average (Pollaczek and Khinchine).
    times = Times(function=0, postgres=0.1, cold=0)
    requests = arrivals(5)
    outcome = simulate({"f": (times, Limits())}, requests, 1, SECONDS, seed=1)
    assert sum(outcome.latencies) / len(requests) == pytest.approx(0.15, rel=0.03)
    assert outcome.postgres == pytest.approx(0.5, rel=0.03)


def test_two_servers_lose_what_erlang_says() -> None:
    # Where one is busy on average, two are for a fifth of the requests.
    times = Times(function=0.1, postgres=0, cold=0)
    outcome = simulate({"f": (times, Limits(concurrency=2))}, arrivals(10), 1, SECONDS, seed=1)
    assert outcome.refused / outcome.arrived == pytest.approx(0.2, abs=0.01)
    assert outcome.environments == 2


def test_a_rate_is_kept_after_its_burst() -> None:
    limits = Limits(rate=10, burst=20)
    outcome = simulate({"f": (Times(0, 0, 0), limits)}, arrivals(100, 100), 1, 100, seed=1)
    assert outcome.arrived - outcome.throttled == pytest.approx(20 + 10 * 100, abs=1)


def test_a_cold_start_is_waited_for_once_until_the_environment_is_forgotten() -> None:
    times = Times(function=0.001, postgres=0.001, cold=0.2)
    requests = [(now, "f") for now in (0.0, 10.0, 20.0, 1000.0)]
    outcome = simulate({"f": (times, Limits())}, requests, 1, 1000, seed=1)
    assert (outcome.cold, outcome.environments) == (2, 1)
    assert outcome.percentile(0.99) == pytest.approx(0.202)


def test_a_cold_start_keeps_no_processor_of_postgres() -> None:
    times = Times(function=0, postgres=0.1, cold=5)
    outcome = simulate(
        {"cold": (times, Limits()), "f": (Times(0, 0.1, 0), Limits())}, [(0.0, "cold"), (1.0, "f")], 1, 10, 1
    )
    assert outcome.percentile(0.5) == pytest.approx(0.1)


def test_a_cache_asks_once_in_its_time() -> None:
    passed = behind_caches(10, 1000, 1, 60, Random(1), are_empty=True)  # noqa: S311 - no secret
    assert len(passed) == 17
    assert all(after - before >= 60 for before, after in pairwise(passed))


def test_a_cache_that_is_seldom_asked_keeps_little_away() -> None:
    # Of a minute's requests, 0.6 on average, all but the first.
    passed = behind_caches(0.01, 200_000, 1, 60, Random(1))  # noqa: S311 - no secret
    assert len(passed) == pytest.approx(200_000 / (60 + 100), rel=0.03)


def test_half_of_the_times_are_between_the_quartiles() -> None:
    random, deviation = Random(1), spread(1.0, 4.0)  # noqa: S311 - no secret
    times = sorted(2 * random.lognormvariate(0, deviation) for _ in range(10_000))
    assert percentile(times, 0.25) == pytest.approx(1, rel=0.05)
    assert percentile(times, 0.75) == pytest.approx(4, rel=0.05)
