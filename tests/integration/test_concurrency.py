"""Many at once: no update is lost, and nothing is created twice."""

import random
from collections import Counter
from functools import partial
from typing import NamedTuple

import pytest

from tests.client import request
from tests.conftest import CreateDatabase
from tests.integration.at_once import PROCESSES, at_once
from tests.postgres import EMPTY, execute, recorded

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
def shared_database(create_database: CreateDatabase, migrated_database: str) -> str:
    """A database of its own, because what other processes write is committed."""
    return create_database(copy_of=migrated_database)


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


def assert_no_update_is_lost(database_url: str, **environment: str) -> None:
    """Have all processes change the same bundles, and compare what they were told with the history."""
    added = execute(
        database_url,
        EMPTY,
        recorded(
            "INSERT INTO token_bundle (name, token_amount, price)"
            f" SELECT 'Start', 1, 1 FROM generate_series(1, {BUNDLES})",
            "created",
        ),
    )
    bundle_ids = [bundle_id for (bundle_id,) in added]

    results = at_once(partial(write_with_if_match, bundle_ids), **environment)

    accepted = [write for writes, _ in results for write in writes]
    statuses = sum((counted for _, counted in results), Counter())
    history = execute(
        database_url,
        "SELECT bundle_id::text, version, action, bundle ->> 'name' FROM token_bundle_change"
        " WHERE action <> 'created'",
    )
    final = execute(database_url, "SELECT id::text, version FROM token_bundle")
    assert set(statuses) == {200, 412}, statuses
    assert statuses.total() == PROCESSES * WRITES
    assert sorted(accepted) == sorted(Accepted(*entry) for entry in history)
    assert len({write[:2] for write in accepted}) == len(accepted)
    made = Counter(write.bundle_id for write in accepted)
    assert {bundle_id: version - 1 for bundle_id, version in final} == {id_: made[id_] for id_ in bundle_ids}


def test_no_update_is_lost(shared_database: str) -> None:
    assert_no_update_is_lost(shared_database, DATABASE_URL=shared_database)


def test_nothing_is_created_twice(shared_database: str) -> None:
    told = at_once(create_with_the_same_keys, DATABASE_URL=shared_database)

    results = [result for results in told for result in results]
    stored = {bundle_id for (bundle_id,) in execute(shared_database, "SELECT id::text FROM token_bundle")}
    [[entries]] = execute(shared_database, "SELECT count(*) FROM token_bundle_change")
    first = [result for result in results if not result[2]]
    assert len(results) == PROCESSES * KEYS
    assert len(stored) == entries == len(first) == KEYS
    assert {bundle_id for _, bundle_id, _ in results} == stored
    assert len({result[:2] for result in results}) == KEYS
