"""Many processes that call the functions at the same moment, each as one Lambda environment."""

import multiprocessing
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

from shared.logs import logger
from shared.settings import settings
from tests.client import request

Result = TypeVar("Result")

PROCESSES = 8
# What each of them would import once more.
PRELOADED = [__name__, *(f"shared.token_bundles.{name}" for name in ("imports", "preview", "restoration"))]
VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}


def at_once(work: Callable[[int], Result], **environment: str) -> list[Result]:
    """Do the work in all processes at the same moment, each with its number."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    given = context.Barrier(PROCESSES), {**os.environ, "DEFAULT_CURRENCY": "EUR", **environment}
    with ProcessPoolExecutor(PROCESSES, context, initializer=_prepare, initargs=given) as pool:
        return list(pool.map(work, range(PROCESSES), timeout=600))


def _prepare(ready: Any, environment: dict[str, str]) -> None:
    # Those of the process that they are forked from are older.
    os.environ.clear()
    os.environ.update(environment)
    settings.__dict__.clear()
    logger.setLevel("WARNING")
    request("GET")
    ready.wait(timeout=60)


def live_through_a_bundle(name: str, subject: str = "admin-1") -> None:
    """Do with a bundle all that can be done with one, and check that each answer belongs to its question."""

    def ask(status: int, *arguments: str, **options: Any) -> Any:
        answer = request(*arguments, subject=subject, **options)
        assert answer.status == status, answer.text
        return answer

    key = {"Idempotency-Key": str(uuid.uuid4())}
    body = VALID | {"name": name}
    created = ask(201, "POST", json_body=body, headers=key)
    bundle = created.bundle
    assert bundle == bundle | body | {"version": 1}
    replayed = ask(201, "POST", json_body=body, headers=key)
    assert (replayed.text, replayed.headers["idempotency-replayed"]) == (created.text, "true")

    path = f"/{bundle['id']}"
    for method, action, fields in (
        ("PATCH", "", {"description": f"changed by {subject}"}),
        ("PUT", "", {"price": "0.05", "token_amount": 7}),
        ("POST", "/deactivate", {"is_active": False}),
        ("POST", "/activate", {"is_active": True}),
    ):
        before = ask(200, "GET", path)
        assert before.bundle == bundle
        tag = {"If-Match": before.headers["etag"]}
        changed = ask(200, method, path + action, json_body=fields, headers=tag).bundle
        updated = {"version": bundle["version"] + 1, "updated_at": changed["updated_at"]}
        bundle = bundle | fields | updated
        assert changed == bundle
        ask(412, "PATCH", path, json_body=fields, headers=tag)

    many = {"bundles": [{"id": bundle["id"], "code": f"code-{uuid.uuid4()}"}]}
    looked = ask(200, "PATCH", json_body=many, query={"validate_only": "true"}).json
    assert ask(200, "GET", path).bundle == bundle
    (bundle,) = ask(200, "PATCH", json_body=many).json["bundles"]
    assert bundle == bundle | looked["bundles"][0] | {"version": 6}

    listed = ask(200, "GET", query={"q": name}).json
    assert (listed["total"], listed["items"]) == (1, [bundle])
    ask(200, "DELETE", path)
    ask(404, "GET", path)
    history = ask(200, "GET", f"{path}/history").json["items"]
    actions = ["deleted", "updated", "activated", "deactivated", "updated", "updated", "created"]
    assert [entry["action"] for entry in history] == actions
    assert [entry["version"] for entry in history] == [7, 6, 5, 4, 3, 2, 1]
    assert {entry["changed_by"] for entry in history} == {subject}
