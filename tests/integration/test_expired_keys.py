"""Idempotency keys that have expired are deleted by those who claim others, a few at a time."""

import random
from functools import partial
from typing import Any

import pytest
from alembic import command
from sqlalchemy import Engine

from tests.client import Answer, request
from tests.conftest import CreateDatabase, use_settings
from tests.contract.test_migrations import CONFIG
from tests.integration.at_once import VALID, at_once
from tests.integration.conftest import url_of
from tests.postgres import connected, execute

FEW, ROUNDS = 4, 12

KEYS = "SELECT key FROM token_bundle_idempotency_key ORDER BY key"
EXPIRE = "UPDATE token_bundle_idempotency_key SET created_at = now() - interval '25 hours' WHERE key = :key"
# So that others can come in between a claim and what the same statement does before it.
LINGER = (
    "CREATE FUNCTION linger() RETURNS trigger LANGUAGE plpgsql"
    " AS 'BEGIN PERFORM pg_sleep(0.03); RETURN NEW; END'",
    "CREATE TRIGGER linger BEFORE INSERT ON token_bundle_idempotency_key"
    " FOR EACH ROW EXECUTE FUNCTION linger()",
)
ADD_EXPIRED = (
    "INSERT INTO token_bundle_idempotency_key (caller, key, created_at)"
    " SELECT 'admin-1', key, now() - interval '25 hours' FROM unnest(CAST(:keys AS text[])) AS key"
)


@pytest.fixture
def url(database: Engine, committed: dict[str, Any]) -> str:  # noqa: ARG001
    return url_of(database)


def create(key: str) -> Answer:
    answer = request("POST", json_body=VALID | {"name": key}, headers={"Idempotency-Key": key})
    assert answer.status == 201, answer.text
    return answer


def add_expired(url: str, *keys: str) -> None:
    with connected(url) as connection:
        connection.run(ADD_EXPIRED, keys=list(keys))


def keys(url: str) -> list[str]:
    return [key for (key,) in execute(url, KEYS)]


def test_ten_are_deleted_at_most(url: str) -> None:
    add_expired(url, *(f"old-{number:02}" for number in range(25)))
    create("a")
    assert len(keys(url)) == 16
    create("b")
    create("c")
    assert keys(url) == ["a", "b", "c"]
    replayed = create("c")
    assert replayed.headers["idempotency-replayed"] == "true"


def test_only_who_claims_a_key_deletes_others(url: str) -> None:
    create("a")
    add_expired(url, "old")
    create("a")
    request("POST", json_body=VALID)
    assert request("POST", json_body={}, headers={"Idempotency-Key": "b"}).status == 400
    assert keys(url) == ["a", "old"]


def test_the_key_that_is_claimed_stays(url: str) -> None:
    add_expired(url, "old", "older")
    created = create("old")
    assert "idempotency-replayed" not in created.headers
    assert keys(url) == ["old"]
    assert create("old").headers["idempotency-replayed"] == "true"


def test_one_that_somebody_has_locked_is_left(url: str) -> None:
    add_expired(url, "locked", "old")
    with connected(url) as other:
        other.run("BEGIN")
        other.run("SELECT FROM token_bundle_idempotency_key WHERE key = 'locked' FOR UPDATE")
        create("a")
        other.run("ROLLBACK")
    assert keys(url) == ["a", "locked"]


def test_older_keys_stay_those_of_their_callers(create_database: CreateDatabase) -> None:
    """So far a client's id could be another caller's subject."""
    url = create_database()
    owners = {"admin": "admin", "client": None, "": "", "sub:admin": "sub:admin"}
    with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        command.upgrade(CONFIG, "0005")
        with connected(url) as connection:
            for caller, subject in owners.items():
                key = "INSERT INTO token_bundle_idempotency_key (caller, key) VALUES (:caller, 'k')"
                [[bundle_id]] = connection.run(f"{key} RETURNING bundle_id", caller=caller)
                entry = "INSERT INTO token_bundle_change (bundle_id, version, action, bundle, subject)"
                connection.run(
                    f"{entry} VALUES (:id, 1, 'created', '{{}}', :subject)", id=bundle_id, subject=subject
                )
        command.upgrade(CONFIG, "head")
    renamed = execute(url, "SELECT caller FROM token_bundle_idempotency_key ORDER BY caller")
    assert renamed == [["admin"], ["client_id:"], ["client_id:client"], ["sub:sub:admin"]]


def claim_again_and_again(url: str, number: int) -> int:
    """Claim one of a few keys and let it expire, as if days went by."""
    chance = random.Random(number)  # noqa: S311
    with connected(url) as connection:
        for _ in range(ROUNDS):
            key = f"key-{chance.randrange(FEW)}"
            answer = request("POST", json_body=VALID, headers={"Idempotency-Key": key})
            assert answer.status == 201, answer.text
            connection.run(EXPIRE, key=key)
    return ROUNDS


def test_many_that_claim_each_other_s_old_keys(url: str) -> None:
    """Who deleted first would hold a key that another claims, and wait for the one which that one deletes."""
    add_expired(url, *(f"key-{key}" for key in range(FEW)))
    execute(url, *LINGER)
    try:
        at_once(partial(claim_again_and_again, url), DATABASE_URL=url)
    finally:
        execute(url, "DROP FUNCTION linger() CASCADE")
