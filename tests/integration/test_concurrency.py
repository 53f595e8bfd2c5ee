"""Many at once: no update is lost, and nothing is created twice."""

import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any, NamedTuple, TypeVar

import pytest
from sqlalchemy import Engine, text

from migrations.engine import make_engine
from shared.settings import Timeouts
from tests.client import request
from tests.conftest import CreateDatabase

Result = TypeVar("Result")

PROCESSES = 8
WRITES = 200
BUNDLES = 20
KEYS = 50


class Accepted(NamedTuple):
    """A write that was answered with 200 and made a new version."""

    bundle_id: str
    version: int
    action: str
    name: str


@pytest.fixture
def shared_database(create_database: CreateDatabase, migrated_database: str) -> Iterator[tuple[str, Engine]]:
    """A database of its own, because what other processes write is committed."""
    url = create_database(copy_of=migrated_database)
    engine = make_engine(url, Timeouts())
    yield url, engine
    engine.dispose()


def at_once(work: Callable[[int], Result], database_url: str) -> list[Result]:
    """Do the work in all processes at the same moment, each with its number."""
    context = multiprocessing.get_context("spawn")
    ready = context.Barrier(PROCESSES)
    with ProcessPoolExecutor(
        PROCESSES, context, initializer=_prepare, initargs=(database_url, ready)
    ) as pool:
        return list(pool.map(work, range(PROCESSES), timeout=120))


def _prepare(database_url: str, ready: Any) -> None:
    os.environ.update(DATABASE_URL=database_url, LOG_LEVEL="WARNING")
    request("GET")
    ready.wait(timeout=60)


def write_with_if_match(bundle_ids: list[str], process: int) -> tuple[list[Accepted], Counter[int]]:
    """Write with the tag that was seen last, which is often too old by then."""
    chance = random.Random(process)  # noqa: S311
    tags: dict[str, str] = {}
    accepted: list[Accepted] = []
    statuses: Counter[int] = Counter()
    for number in range(WRITES):
        bundle_id = chance.choice(bundle_ids)
        if bundle_id not in tags:
            tags[bundle_id] = request("GET", f"/{bundle_id}").headers["etag"]
        seen = int(tags[bundle_id].strip('"'))
        action = chance.choice(["updated", "updated", "updated", "activated", "deactivated"])
        headers = {"if-match": tags.pop(bundle_id)}
        if action == "updated":
            body = {"name": f"{process}-{number}"}
            answer = request("PATCH", f"/{bundle_id}", json_body=body, headers=headers)
        else:
            answer = request("POST", f"/{bundle_id}/{action.removesuffix('d')}", headers=headers)
        statuses[answer.status] += 1
        if answer.status == 200:
            bundle = answer.bundle
            tags[bundle_id] = answer.headers["etag"]
            assert bundle["id"] == bundle_id
            assert bundle["version"] in {seen, seen + 1}
            if bundle["version"] > seen:
                accepted.append(Accepted(bundle_id, bundle["version"], action, bundle["name"]))
    return accepted, statuses


def create_with_the_same_keys(process: int) -> list[tuple[str, str, bool]]:
    """Create what all processes create, and return each key's bundle and whether it was there already."""
    results = []
    for number in range(KEYS):
        body = {"name": f"Bundle {number}", "token_amount": 1, "price": number}
        answer = request("POST", json_body=body, headers={"idempotency-key": f"key-{number}"})
        assert answer.status == 201, (process, answer.text)
        assert answer.bundle["name"] == body["name"]
        results.append((f"key-{number}", answer.bundle["id"], "idempotency-replayed" in answer.headers))
    return results


def test_no_update_is_lost(shared_database: tuple[str, Engine], capsys: pytest.CaptureFixture[str]) -> None:
    url, engine = shared_database
    with engine.begin() as connection:
        added = connection.execute(
            text(
                "WITH added AS (INSERT INTO token_bundle (name, token_amount, price)"
                " SELECT 'Start', 1, 1 FROM generate_series(1, :count) RETURNING id)"
                " SELECT id::text FROM added"
            ),
            {"count": BUNDLES},
        )
        bundle_ids = list(added.scalars())

    results = at_once(partial(write_with_if_match, bundle_ids), url)

    accepted = [write for writes, _ in results for write in writes]
    statuses = sum((counted for _, counted in results), Counter())
    with engine.begin() as connection:
        history = connection.execute(
            text("SELECT bundle_id::text, version, action, bundle ->> 'name' FROM token_bundle_change")
        ).all()
        final = connection.execute(text("SELECT id::text, version FROM token_bundle")).all()
    with capsys.disabled():
        print(f"\n{statuses[200]} writes accepted, {statuses[412]} refused, {len(history)} in the history")
    assert set(statuses) == {200, 412}
    assert statuses.total() == PROCESSES * WRITES
    assert sorted(accepted) == sorted(Accepted(*entry) for entry in history)
    assert len({write[:2] for write in accepted}) == len(accepted)
    made = Counter(write.bundle_id for write in accepted)
    assert dict(final) == {bundle_id: 1 + made[bundle_id] for bundle_id in bundle_ids}


def test_nothing_is_created_twice(
    shared_database: tuple[str, Engine], capsys: pytest.CaptureFixture[str]
) -> None:
    url, engine = shared_database

    results = [result for results in at_once(create_with_the_same_keys, url) for result in results]

    with engine.begin() as connection:
        stored = set(connection.execute(text("SELECT id::text FROM token_bundle")).scalars())
        entries = connection.scalar(text("SELECT count(*) FROM token_bundle_change"))
    first = [result for result in results if not result[2]]
    with capsys.disabled():
        print(
            f"\n{len(results)} requests, {len(stored)} bundles, {len(results) - len(first)} replayed answers"
        )
    assert len(results) == PROCESSES * KEYS
    assert len(stored) == entries == len(first) == KEYS
    assert {bundle_id for _, bundle_id, _ in results} == stored
    assert len({result[:2] for result in results}) == KEYS
