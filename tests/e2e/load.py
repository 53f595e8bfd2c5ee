"""Clients that read and write at the same time, and keep account of every answer."""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import httpx

from shared.errors import DatabaseUnavailableError, OutcomeUnknownError
from tests.e2e.serving import BUNDLES, Gateway
from tests.postgres import execute

CLIENTS = 4
SHARED = 3
WAIT_SECONDS = 40
VALID = {"token_amount": 1000, "price": "9.90"}


class Write(NamedTuple):
    """An acknowledged write: what the history must say of it."""

    bundle_id: str
    version: int
    name: str
    description: str | None


@dataclass
class Account:
    """What the clients were told, by identifiers that occur only once."""

    acknowledged: list[Write] = field(default_factory=list)
    # Names of bundles and descriptions of changes that were refused, and whose outcome is unknown.
    refused: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)


class Load:
    """Clients that create bundles, read them and change them, each its own and those of all."""

    def __init__(self, http: httpx.Client) -> None:
        """Prepare bundles that all the clients change."""
        self.http = http
        self.account = Account()
        self.news = threading.Condition()
        self.stopping = threading.Event()
        # The one disturbance that may cost an answer altogether.
        self.answers_may_be_lost = False
        self.shared = [self.create(f"shared-{number}-{uuid.uuid4()}") for number in range(SHARED)]

    def wait_for(self, what: str, more: int) -> float:
        """Wait until that much more has been counted, and tell how long it took."""
        began = time.monotonic()
        with self.news:
            goal = self.account.counts[what] + more
            assert self.news.wait_for(
                lambda: self.account.counts[what] >= goal or self.account.wrong, WAIT_SECONDS
            ), f"not {more} more {what} in {WAIT_SECONDS} s: {self.account.counts}"
        assert not self.account.wrong, self.account.wrong
        return time.monotonic() - began

    def count(self, what: str) -> None:
        with self.news:
            self.account.counts[what] += 1
            self.news.notify_all()

    def run(self, client: int) -> None:
        try:
            for number in itertools.count():
                if self.stopping.is_set():
                    return
                bundle = self.create(f"bundle-{client}-{number}-{uuid.uuid4()}")
                for changed in (bundle, self.shared[number % SHARED], bundle):
                    self.update(changed, f"change-{uuid.uuid4()}")
        except Exception as error:
            self.account.wrong.append(repr(error))
            self.count("failed clients")

    def ask(self, what: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Return an answer, or None when `what` was refused or its answer is lost."""
        try:
            answer = self.http.request(method, f"{BUNDLES}{path}", **options)
        except httpx.TransportError:
            assert self.answers_may_be_lost, "an answer is lost"
            self.account.unknown.add(what)
            self.count("answers lost")
            return None
        if answer.status_code != 503:
            return answer
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
        if problem["detail"] == OutcomeUnknownError.detail:
            self.account.unknown.add(what)
            self.count("outcome unknown")
        else:
            assert problem["detail"] == DatabaseUnavailableError.detail
            self.account.refused.add(what)
            self.count("refused")
        return None

    def create(self, name: str) -> dict[str, Any]:
        """Create a bundle, again and again with the same key until that is acknowledged."""
        headers = {"idempotency-key": name}
        body = VALID | {"name": name}
        while (answer := self.ask(name, "POST", "", json=body, headers=headers)) is None:
            self.count("retried")
        assert answer.status_code == 201, answer.text
        bundle: dict[str, Any] = answer.json()["bundle"]
        assert (bundle["name"], bundle["version"]) == (name, 1)
        assert answer.headers["location"].endswith(bundle["id"])
        if "idempotency-replayed" in answer.headers:
            assert name in self.account.unknown, f"{name} was refused, and made all the same"
        self.acknowledge(bundle)
        return bundle

    def read(self, bundle: dict[str, Any]) -> httpx.Response:
        path = f"/{bundle['id']}"
        while (answer := self.ask("", "GET", path)) is None:
            self.count("retried")
        assert answer.status_code == 200, answer.text
        found = answer.json()["bundle"]
        assert (found["id"], found["name"]) == (bundle["id"], bundle["name"])
        self.count("read")
        return answer

    def update(self, bundle: dict[str, Any], description: str) -> None:
        """Change what was just read, once: whether that was made is for the history to say."""
        read = self.read(bundle)
        change, tag = {"description": description}, {"if-match": read.headers["etag"]}
        answer = self.ask(description, "PATCH", f"/{bundle['id']}", json=change, headers=tag)
        if answer is None:
            return
        if answer.status_code == 412:
            self.account.refused.add(description)
            self.count("conflicts")
            return
        assert answer.status_code == 200, answer.text
        changed, before = answer.json()["bundle"], read.json()["bundle"]
        new = {"version": before["version"] + 1, "updated_at": changed["updated_at"]}
        assert changed == before | change | new
        self.acknowledge(changed)

    def acknowledge(self, bundle: dict[str, Any]) -> None:
        self.account.acknowledged.append(
            Write(bundle["id"], bundle["version"], bundle["name"], bundle["description"])
        )
        self.count("acknowledged")


@contextmanager
def load_on(gateway: Gateway, token: str) -> Iterator[Load]:
    """Have clients at work during the block, and none after it."""
    # A connection for each request, so that every process of the gateway gets some of each client's.
    with gateway.client(token, limits=httpx.Limits(max_keepalive_connections=0)) as http:
        load = Load(http)
        with ThreadPoolExecutor(CLIENTS) as threads:
            threads.map(load.run, range(CLIENTS))
            try:
                yield load
            finally:
                load.stopping.set()
    assert not load.account.wrong, load.account.wrong


def audit(account: Account, database_url: str, tell: Callable[[str], None]) -> None:
    """Compare what the clients were told with what the database holds, print the counts, and judge them."""
    history, bundles = _stored(database_url)
    made = Counter((write.description or write.name) for write in history)
    versions: dict[str, list[int]] = {}
    for write in history:
        versions.setdefault(write.bundle_id, []).append(write.version)
    newest = {write.bundle_id: write for write in history}
    missing = set(account.acknowledged) - set(history)
    missing |= {newest[bundle.bundle_id] for bundle in bundles if bundle != newest[bundle.bundle_id]}
    told = [*made.items(), *Counter(account.acknowledged).items()]
    acknowledged_names = {write.name for write in account.acknowledged}
    wrong = {
        "missing": missing,
        "doubled": [what for what, count in told if count > 1],
        "gaps": [id_ for id_, found in versions.items() if found != list(range(1, len(found) + 1))],
        # A refused creation is retried until it is acknowledged.
        "refused but made": (account.refused - account.unknown - acknowledged_names) & made.keys(),
    }
    counts = dict(sorted(account.counts.items())) | {
        "unknown and made": len(account.unknown & made.keys()),
        "history": len(history),
        **{what: len(found) for what, found in wrong.items()},
    }
    tell(", ".join(f"{what} {count}" for what, count in counts.items()))
    assert not any(wrong.values()), wrong
    assert len(newest) == len(bundles)


def _stored(database_url: str) -> tuple[list[Write], list[Write]]:
    """Return the whole history in order, and the bundles."""
    history = execute(
        database_url,
        "SELECT bundle_id::text, version, bundle->>'name', bundle->>'description'"
        " FROM token_bundle_change ORDER BY bundle_id, version",
    )
    bundles = execute(database_url, "SELECT id::text, version, name, description FROM token_bundle")
    return [Write(*row) for row in history], [Write(*row) for row in bundles]
