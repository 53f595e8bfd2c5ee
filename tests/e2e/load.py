"""Clients that read and write at the same time, and keep account of every answer."""

import itertools
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
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
    """The clients, from their start to their end."""

    def __init__(self, gateway: Gateway, token: str) -> None:
        """Prepare bundles that all the clients change."""
        self.gateway = gateway
        self.token = token
        self.account = Account()
        self.news = threading.Condition()
        self.stopping = threading.Event()
        # The one disturbance that may cost an answer altogether.
        self.answers_may_be_lost = False
        self.shared = [self._shared(number) for number in range(SHARED)]
        self.threads = [threading.Thread(target=self._run, args=[number]) for number in range(CLIENTS)]

    def _shared(self, number: int) -> dict[str, Any]:
        name = f"shared-{number}-{uuid.uuid4()}"
        with self.gateway.client(self.token) as http:
            answer = http.post(BUNDLES, json=VALID | {"name": name}, headers={"idempotency-key": name})
        assert answer.status_code == 201, answer.text
        bundle: dict[str, Any] = answer.json()["bundle"]
        self.account.acknowledged.append(Write(bundle["id"], 1, name, None))
        return bundle

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

    def count(self, *whats: str) -> None:
        with self.news:
            self.account.counts.update(whats)
            self.news.notify_all()

    def _run(self, number: int) -> None:
        # A connection for each request, so that every process of the gateway gets some of each client's.
        limits = httpx.Limits(max_keepalive_connections=0)
        try:
            with self.gateway.client(self.token, limits=limits) as http:
                Client(self, http, number).run()
        except Exception as error:
            with self.news:
                self.account.wrong.append(repr(error))
                self.news.notify_all()


class Client:
    """Creates bundles, reads them and changes them, its own and those of all."""

    def __init__(self, load: Load, http: httpx.Client, number: int) -> None:
        self.load = load
        self.account = load.account
        self.http = http
        self.number = number

    def run(self) -> None:
        for round_number in itertools.count():
            if self.load.stopping.is_set():
                return
            bundle = self.create(f"bundle-{self.number}-{round_number}-{uuid.uuid4()}")
            for own in (bundle, self.load.shared[round_number % SHARED], bundle):
                self.update(own, f"change-{uuid.uuid4()}")

    def ask(self, what: str, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Return an answer, or None when `what` was refused or its answer is lost."""
        try:
            answer = self.http.request(method, f"{BUNDLES}{path}", **options)
        except httpx.TransportError:
            assert self.load.answers_may_be_lost, "an answer is lost"
            self.account.unknown.add(what)
            self.load.count("answers lost")
            return None
        if answer.status_code != 503:
            return answer
        problem = answer.json()
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["retry-after"]) > 0
        if problem["detail"] == OutcomeUnknownError.detail:
            self.account.unknown.add(what)
            self.load.count("outcome unknown")
        else:
            assert problem["detail"] == DatabaseUnavailableError.detail
            self.account.refused.add(what)
            self.load.count("refused")
        return None

    def create(self, name: str) -> dict[str, Any]:
        """Create a bundle, again and again with the same key until that is acknowledged."""
        headers = {"idempotency-key": name}
        body = VALID | {"name": name}
        while (answer := self.ask(name, "POST", "", json=body, headers=headers)) is None:
            self.load.count("retried")
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
            self.load.count("retried")
        assert answer.status_code == 200, answer.text
        found = answer.json()["bundle"]
        assert (found["id"], found["name"]) == (bundle["id"], bundle["name"])
        self.load.count("read")
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
            self.load.count("conflicts")
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
        self.load.count("acknowledged")


@contextmanager
def load_on(gateway: Gateway, token: str) -> Iterator[Load]:
    """Have clients at work during the block, and none after it."""
    load = Load(gateway, token)
    for thread in load.threads:
        thread.start()
    try:
        yield load
    finally:
        load.stopping.set()
        for thread in load.threads:
            thread.join()
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
    doubled = {what for what, count in made.items() if count > 1}
    gaps = {id_ for id_, found in versions.items() if found != list(range(1, len(found) + 1))}
    refused_but_made = {what for what in account.refused - account.unknown if made[what]} - {
        # A refused creation is retried until it is acknowledged.
        write.name
        for write in account.acknowledged
    }
    acknowledged_twice = len(account.acknowledged) - len(set(account.acknowledged))
    counts = dict(sorted(account.counts.items())) | {
        "unknown and made": sum(1 for what in account.unknown if made[what]),
        "history": len(history),
        "missing": len(missing),
        "doubled": len(doubled) + acknowledged_twice,
        "gaps": len(gaps),
        "refused but made": len(refused_but_made),
    }
    tell(", ".join(f"{what} {count}" for what, count in counts.items()))
    assert not missing
    assert not doubled
    assert not acknowledged_twice
    assert not gaps
    assert not refused_but_made
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
