"""Changes of many bundles, and restorations, at the same moment."""

import os
import threading
from collections import Counter
from collections.abc import Iterator
from random import Random
from time import sleep
from typing import Any

import pytest
from sqlalchemy import Engine, text

from tests.client import request
from tests.integration.at_once import PROCESSES, at_once
from tests.integration.conftest import functions_with, url_of
from tests.postgres import EMPTY, connected, execute, recorded
from tests.proxy import Proxy

ROUNDS, RESTORATIONS = 200, 40
IMPORTERS = 2
IDS = [f"00000000-0000-4000-8000-{number:012}" for number in range(8)]
CREATE = """
    WITH new AS (INSERT INTO token_bundle (id, name, token_amount, price)
        SELECT id, 'n', 1, 1 FROM unnest(ARRAY[{ids}]::uuid[]) AS id RETURNING *)
    INSERT INTO token_bundle_change (bundle_id, version, action, bundle)
    SELECT id, version, 'created', to_jsonb(new) FROM new
"""
TAKING = recorded(f"UPDATE token_bundle SET code = 'wanted', version = 2 WHERE id = '{IDS[0]}'", "updated")
GAPS = """
    SELECT bundle_id FROM token_bundle_change GROUP BY bundle_id
    HAVING count(*) <> max(version) OR min(version) <> 1
"""


@pytest.fixture
def url(database: Engine) -> Iterator[str]:
    execute(url_of(database), EMPTY, CREATE.format(ids=", ".join(f"'{one}'" for one in IDS)))
    yield url_of(database)
    with database.begin() as connection:
        connection.execute(text(EMPTY))


def change_many(number: int) -> list[tuple[int, list[str]]]:
    """Change overlapping bundles in one order or the other, with codes that cross among them."""
    random, answers = Random(number), []  # noqa: S311 - no secret
    for turn in range(ROUNDS // PROCESSES * 2):
        chosen = random.sample(IDS, 5)
        chosen = sorted(chosen, reverse=bool(number % 2))
        codes = random.sample(["a", "b", "c", "d", "e", "f", None, None], 5)
        mark = f"{number}-{turn}"
        body = {"bundles": [
            {"id": one, "description": mark, "code": code} for one, code in zip(chosen, codes, strict=True)
        ]}  # fmt: skip
        answer = request("PATCH", json_body=body, claims={"sub": mark})
        named = [error["code"] for error in answer.json.get("errors", [])]
        answers.append((answer.status, named))
        # Codes become free again, so that some batches succeed.
        if answer.status == 409 and turn % 3 == 0:
            freed = [{"id": one, "code": None} for one in chosen]
            assert request("PATCH", json_body={"bundles": freed}, claims={"sub": "free"}).status == 200
    return answers


def test_batches_are_all_or_none(url: str) -> None:
    results = [one for answers in at_once(change_many, DATABASE_URL=url) for one in answers]
    statuses = Counter(status for status, _ in results)
    assert len(results) >= ROUNDS
    assert statuses.keys() == {200, 409}, statuses
    assert {code for _, named in results for code in named} == {"code_taken"}
    assert all(named for status, named in results if status == 409)
    # Each batch has changed its five bundles, or none of them.
    of_each = "SELECT subject, count(*) FROM token_bundle_change WHERE subject LIKE '%-%' GROUP BY 1"
    entries = execute(url, of_each)
    assert Counter(number for _, number in entries) == {5: statuses[200]}
    assert execute(url, GAPS) == []


def import_or_write(number: int) -> list[tuple[str, int]]:
    """Import all bundles and one that may be new, or change and create single ones, until that is done."""
    random, answers = Random(number), []  # noqa: S311 - no secret
    for turn in range(ROUNDS // 4):
        mark = f"{number}-{turn}"
        caller = {"sub": mark}
        new: dict[str, Any] = {"code": f"new-{turn}", "name": "n", "token_amount": 1, "price": 1}
        if number < IMPORTERS:
            rows = [new, *({"id": one} for one in random.sample(IDS, len(IDS)))]
            body = {"bundles": [row | {"description": mark} for row in rows]}
            answers.append((mark, request("POST", "/import", json_body=body, claims=caller).status))
            continue
        sleep(random.uniform(0, 0.04))
        fields = {"description": mark}
        assert request("PATCH", f"/{random.choice(IDS)}", json_body=fields, claims=caller).status == 200
        new["description"] = mark
        assert request("POST", json_body=new, claims=caller).status in {201, 409}
    return answers


def test_imports_among_single_writers_are_all_or_none(url: str) -> None:
    results = [one for answers in at_once(import_or_write, DATABASE_URL=url) for one in answers]
    assert len(results) == IMPORTERS * ROUNDS // 4
    statuses = Counter(status for _, status in results)
    # Who is always overtaken gives up, and has written nothing.
    assert statuses.keys() <= {200, 503}
    assert statuses[200] > statuses[503], statuses
    entries = dict(execute(url, "SELECT subject, count(*) FROM token_bundle_change GROUP BY 1"))
    assert [(status, entries.get(mark, 0)) for mark, status in results] == [
        (status, len(IDS) + 1 if status == 200 else 0) for _, status in results
    ]
    assert execute(url, GAPS) == []


def restore_all(_: int) -> list[tuple[int, Any]]:
    """Restore bundles that are deleted at the moment when all others restore them, too."""
    ids = os.environ["DELETED"].split(",")
    answers = []
    for one in ids:
        answer = request("POST", f"/{one}/restore", json_body={"version": 1})
        answers.append((answer.status, answer.json.get("bundle", {}).get("version")))
    return answers


def test_of_many_restorations_one_is_made(url: str) -> None:
    ids = [f"00000000-0000-4000-9000-{number:012}" for number in range(RESTORATIONS)]
    coded = CREATE.format(ids=", ".join(f"'{one}'" for one in ids)).replace(
        "(id, name, token_amount, price)", "(id, code, name, token_amount, price)"
    )
    coded = coded.replace("SELECT id, 'n'", "SELECT id, right(id::text, 4), 'n'")
    gone = """
        WITH gone AS (DELETE FROM token_bundle WHERE id::text LIKE '00000000-0000-4000-9000-%' RETURNING *)
        INSERT INTO token_bundle_change (bundle_id, version, action)
        SELECT id, version + 1, 'deleted' FROM gone
    """
    execute(url, coded, gone)
    results = at_once(restore_all, DATABASE_URL=url, DELETED=",".join(ids))
    for answers in zip(*results, strict=True):
        # Whoever comes when it is there restores it as one that is there, which makes it active again.
        assert {status for status, _ in answers} == {200}
        assert {version for _, version in answers} <= {3, 4}
    actions = execute(
        url,
        "SELECT bundle_id, array_agg(action::text ORDER BY version) FROM token_bundle_change"
        " WHERE bundle_id::text LIKE '00000000-0000-4000-9000-%' GROUP BY 1",
    )
    assert len(actions) == RESTORATIONS
    for _, done in actions:
        assert done[:3] == ["created", "deleted", "restored"]
        assert len(done) <= 4
    assert execute(url, GAPS) == []


@pytest.mark.parametrize("looks", [False, True])
@pytest.mark.parametrize("code", ["NULL", "'x'"])
def test_the_second_of_two_restorations_changes_nothing(url: str, code: str, looks: bool) -> None:
    execute(
        url,
        recorded(f"UPDATE token_bundle SET code = {code}, version = 2 WHERE id = '{IDS[0]}'", "updated"),
        "WITH gone AS (DELETE FROM token_bundle WHERE version = 2 RETURNING *)"
        " INSERT INTO token_bundle_change (bundle_id, version, action) SELECT id, 3, 'deleted' FROM gone",
    )
    back = (
        "INSERT INTO token_bundle (id, code, name, token_amount, price, is_active, version)"
        f" VALUES ('{IDS[0]}', {code}, 'first', 1, 1, false, 4)"
    )
    execute(
        url, recorded(f"UPDATE token_bundle SET name = 'first', version = 2 WHERE id = '{IDS[1]}'", "updated")
    )
    with functions_with(DATABASE_URL=url), connected(url) as other:
        other.run("BEGIN")
        other.run(recorded(back, "restored"))
        ending = threading.Timer(0.3, other.run, ["COMMIT"])
        ending.start()
        query = {"validate_only": str(looks)}
        answer = request("POST", f"/{IDS[0]}/restore", json_body={"version": 2}, query=query)
        ending.join()
        assert (answer.status, answer.bundle["name"]) == (200, "first")
        if looks:
            assert (answer.json["validate_only"], answer.json["changes"]) == (True, {})
            assert {warned["code"] for warned in answer.json["warnings"]} == {"dominated", "same_name"}
            assert "etag" not in answer.headers
        else:
            assert answer.bundle["version"] == 4
        assert request("GET", f"/{IDS[0]}/history").json["total"] == 4


def test_those_that_set_codes_come_one_after_the_other(url: str) -> None:
    alone = "SELECT pg_advisory_xact_lock('token_bundle'::regclass::oid::bigint)"
    with Proxy(url) as proxy, functions_with(DATABASE_URL=proxy.url), connected(url) as other:
        request("GET")
        before = proxy.round_trips
        other.run("BEGIN")
        other.run(alone)
        other.run(TAKING)
        free = {"bundles": [{"id": IDS[1], "price": 2, "code": None}]}
        assert request("PATCH", json_body=free).status == 200
        ending = threading.Timer(0.3, other.run, ["COMMIT"])
        ending.start()
        answer = request("PATCH", json_body={"bundles": [{"id": IDS[2], "code": "wanted"}]})
        ending.join()
        assert (answer.status, answer.json["errors"][0]["code"]) == (409, "code_taken")
        # What waits looks at the codes only afterwards, and has nothing to do again.
        assert proxy.round_trips - before == 2


@pytest.mark.parametrize("ends", ["COMMIT", "ROLLBACK"])
def test_a_code_that_is_taken_meanwhile_is_named(url: str, ends: str) -> None:
    body = {"bundles": [{"id": IDS[1], "price": 2}, {"id": IDS[2], "code": "wanted"}]}
    with functions_with(DATABASE_URL=url), connected(url) as other:
        other.run("BEGIN")
        other.run(TAKING)
        ending = threading.Timer(0.3, other.run, [ends])
        ending.start()
        answer = request("PATCH", json_body=body)
        ending.join()
        if ends == "ROLLBACK":
            assert answer.status == 200
        else:
            (error,) = answer.json["errors"]
            assert (error["pointer"], error["code"]) == ("/bundles/1/code", "code_taken")
            assert request("GET", f"/{IDS[1]}").bundle["version"] == 1
