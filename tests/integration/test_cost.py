"""What a request costs: no more than in proportion to its size, and nothing is left of it."""

# ruff: noqa: E501 - the table is easier to read with a line a kind

import gc
import logging
import time
import tracemalloc
from collections.abc import Callable, Iterator
from itertools import permutations, product
from typing import Any, NamedTuple

import pytest

from tests.client import BUNDLES, READ, WRITE, event, invoke

pytestmark = pytest.mark.usefixtures("connection")

# What API Gateway lets through of headers and address, and the largest body that is read.
HEADERS, BODY, FILE = 10_240, 64 * 1024, 1024 * 1024
# Less than this nobody notices; from there on twice the size may cost a little more than twice the time.
SECONDS, GROWTH = 0.02, 2.5
# Of so many requests, each with a text of its own, of fifty numbers: what is left of one is less than that text.
MANY, BYTES_A_REQUEST, TIMES = 150, 150, 50
CLAIMS = {"sub": "a", "scope": f"{READ} {WRITE}"}
ROW = "/00000000-0000-4000-8000-000000000000"
VALID = '{"name": "n", "token_amount": 1, "price": "x"}'

Event = dict[str, Any]


class Sent(NamedTuple):
    """A request with a part that grows: a text that is repeated, or one that has a middle."""

    name: str
    largest: int
    make: Callable[[str], Event]
    part: str
    end: str = ""

    def of(self, size: int) -> Event:
        times = size // len(self.part + self.end)
        if "{n}" in self.part:
            return self.make("".join(self.part.replace("{n}", str(number)) for number in range(times)))
        return self.make(self.part * times + self.end * times)


def in_header(name: str, method: str, path: str, start: str = "") -> Iterator[Sent]:
    def make(text: str) -> Event:
        headers = {"content-type": "application/json", name: start + text}
        return event(method, BUNDLES + path, body=VALID, headers=headers, claims=CLAIMS)

    for part in [
        '"',
        '"1",',
        '"1" ',
        '"{n}",',
        'W/"1",',
        'W/"',
        " ",
        "\t,",
        ",",
        " ,",
        "W/",
        ";",
        ' ;a="',
        ";charset=",
        ";charset",
        "=",
        "\\",
        "a",
        "é",
    ]:
        yield Sent(f"{method} {path[:1]} {name} {start} {part}", HEADERS, make, part)


def in_query(start: str, path: str = "") -> Iterator[Sent]:
    def make(text: str) -> Event:
        return event("GET", BUNDLES + path, query=start + text, claims=CLAIMS)

    for part in [
        "a",
        "9",
        "0",
        "-",
        ",",
        "name,",
        "-name,",
        "%41",
        "%",
        "%CC%81",
        "%C3%9F",
        "+",
        "&",
        "&a",
        "&a=1",
        "&{n}=",
        "&{n}&{n}",
        "=",
        ";",
        "\\",
    ]:
        yield Sent(f"GET {path} ?{start} {part}", HEADERS, make, part)


def in_body(start: str, end: str, *parts: str | tuple[str, str]) -> Iterator[Sent]:
    def make(text: str) -> Event:
        headers = {"content-type": "application/json"}
        return event("PATCH", BUNDLES + ROW, body=start + text + end, headers=headers, claims=CLAIMS)

    for part in parts:
        opened, closed = part if isinstance(part, tuple) else (part, "")
        yield Sent(f"{start[:9]} {opened} {closed} {end[:9]}", BODY - len(start + end), make, opened, closed)


def in_file(start: str, end: str, *parts: str, kind: str = "text/csv") -> Iterator[Sent]:
    def make(text: str) -> Event:
        headers = {"content-type": kind}
        body = start + text + end
        return event("POST", f"{BUNDLES}/import", body=body, headers=headers, claims=CLAIMS)

    for part in parts:
        yield Sent(f"{kind} {start[:9]} {part} {end[:9]}", FILE - len(start + end), make, part)


CONDITIONAL = [("GET", ROW), ("DELETE", ROW), ("PATCH", ROW)]
VALUES: list[str | tuple[str, str]] = [
    "9",
    "9.9",
    "[",
    ("[", "]"),
    ('{"a":', "}"),
    ('{"a":0,"a":', "}"),
    "1e9",
    "0",
]
TEXTS = ["9", "1.", "e", "1e", "0", " ", "a", "\u0301", "\\ud800", "\\u0000", "é", "-", "%", "{n}", "\\\\"]
SENT = [
    *(sent for name in ("if-match", "if-none-match") for of in CONDITIONAL for sent in in_header(name, *of)),
    *(sent for start in ("", "application/json", 'application/json; a="', "application/json; charset=") for sent in in_header("content-type", "PATCH", ROW, start)),
    *in_header("content-encoding", "POST", ""),
    *in_header("idempotency-key", "POST", ""),
    *(sent for name in ("page", "per_page", "include_inactive", "q", "sort", "a") for sent in in_query(f"{name}=")),
    *(sent for path in ("", ROW, f"{ROW}/history") for sent in in_query("", path)),
    *in_body("", "", "a", " ", "[", "{", '"', "\\", "\ufeff", "9", "é", ("[", "]"), ('{"a":', "}")),
    *(sent for name in ("name", "price", "token_amount", "version", "created_at", "a") for sent in in_body(f'{{"{name}":', "0}", *VALUES)),
    *(sent for name in ("name", "description", "price", "sort_order", "currency", "id", "a") for sent in in_body(f'{{"{name}":"', '"}', *TEXTS)),
    *in_body('{"', '":1}', "~", "/", "é", "\\u0001", "\\ud800", "{n}"),
    *in_body('{"a":0', "}", ',"b":0', ',"{n}":0', ',"{n}":0,"{n}":0', ',"{n}":{"b":0,"b":0}', ',"{n}":[{},{}]', ',"\\ud800":0'),
    *in_body('{"a":[0', "]}", ",0", ",[]", ",{}", ',{"b":0,"b":0}', ',{"{n}":0}', (",[0", "]"), (',{"b":0,"b":[0', "]}")),
    *in_file("", "", "a", ",", ";", "\t", "\n", '"', "'", '""', "a,", "{n},", "code,", "\x01,", "\x01", "a\n", "é"),
    *in_file("code,name\n", "", "a", "\n", ",\n", "a\n", "a,b\n", "{n},b\n", "a,b,c\n", '"', '"a', '"\n', "'=", ",", "é", "\r"),
    *in_file("code,metadata\na,", "", "[", '"{""a"":', "9", "{n}"),
    *in_file('{"bundles":[0', "]}", ",0", ",[]", ",{}", ',{"code":"{n}"}', ',{"b":0,"b":0}', kind="application/json"),
    *in_body('{"a":' * 400 + "[", "0]" + "}" * 400, "[],", '{"b":0,"b":0},'),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Have pytest keep no log."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def seconds(sent: Event, times: int = 3) -> float:
    def once() -> float:
        started = time.process_time()
        invoke(sent)
        return time.process_time() - started

    return min(once() for _ in range(times))


@pytest.mark.parametrize("sent", SENT, ids=lambda sent: ascii(sent.name))
def test_in_proportion_to_the_size(sent: Sent) -> None:
    answer = invoke(sent.of(sent.largest))
    assert answer.status < 500
    assert len(answer.text) < 5 * 1024 * 1024
    unnoticed = SECONDS * max(1, sent.largest / BODY)
    if seconds(sent.of(sent.largest)) > unnoticed:
        # Of more times the least is nearer to what it costs when nothing else runs.
        whole, half = (seconds(sent.of(size), 15) for size in (sent.largest, sent.largest // 2))
        assert whole < GROWTH * half


def varied(method: str, path: str = "", **parts: Any) -> Callable[[int], Event]:
    """Make the events of requests with a number in some part, so that no two are alike."""

    def filled(part: Any, number: int) -> Any:
        if isinstance(part, dict):
            return {filled(name, number): filled(value, number) for name, value in part.items()}
        return part.replace("{n}", str(number) * TIMES)

    def make(number: int) -> Event:
        sent = {name: filled(part, number) for name, part in parts.items()}
        sent["headers"] = {"content-type": "application/json", **sent.get("headers", {})}
        sent["claims"] = {**CLAIMS, **sent.get("claims", {})}
        return event(method, BUNDLES + filled(path, number), **sent)

    return make


KEYS = ("name", "price", "sort_order", "created_at", "updated_at", "token_amount")
ORDERS = [
    ",".join(f"{sign}{key}" for sign, key in zip(signs, keys, strict=True))
    for keys in permutations(KEYS)
    for signs in product(["", "-"], repeat=len(KEYS))
]
VARIED = {
    "media type": varied("POST", body=VALID, headers={"content-type": "application/x{n}"}),
    "charset": varied("POST", body=VALID, headers={"content-type": "application/json; charset=x{n}"}),
    "parameter of the media type": varied(
        "POST", body=VALID, headers={"content-type": "application/json; a{n}={n}"}
    ),
    "content coding": varied("POST", body=VALID, headers={"content-encoding": "x{n}"}),
    "If-Match": varied("GET", ROW, headers={"if-match": '"{n}"'}),
    "If-None-Match": varied("DELETE", ROW, headers={"if-none-match": 'W/"{n}"'}),
    "key": varied("POST", body=VALID, headers={"idempotency-key": "k{n}"}),
    "name of a header": varied("GET", ROW, headers={"x-{n}": "{n}"}),
    "id": varied("GET", "/no-uuid-{n}"),
    "subject": varied("GET", ROW, claims={"sub": "s{n}", "client_id": "c{n}"}),
    "scope": varied("GET", ROW, claims={"scope": "s{n}"}),
    **{
        name: varied("GET", query=f"{name}={value}")
        for name, value in {
            "page": "1{n}",
            "per_page": "{n}",
            "q": "q{n}",
            "sort": "s{n}",
            "a{n}": "{n}",
        }.items()
    },
    "name of a field": varied("PATCH", ROW, body='{"f{n}": 1, "f{n}": {"g{n}": 2}}'),
    **{
        f"{kind} of a field": varied("PATCH", ROW, body=f'{{"price": {value}, "name": {value}}}')
        for kind, value in {"text": '"t{n}"', "number": "9{n}.{n}", "exponent": "1e{n}"}.items()
    },
    "order": lambda number: event("GET", BUNDLES, query=f"sort={ORDERS[number]}", claims=CLAIMS),
}


@pytest.mark.parametrize("make", VARIED.values(), ids=VARIED.keys())
def test_leaves_nothing_behind(make: Callable[[int], Event]) -> None:
    def invoke_many(first: int) -> int:
        for number in range(first, first + MANY):
            assert invoke(make(number)).status < 500
        gc.collect()
        return tracemalloc.get_traced_memory()[0]

    tracemalloc.start()
    try:
        # What is kept but for the last few is there after the first ones.
        before = invoke_many(1000)
        assert invoke_many(1000 + MANY) - before < MANY * BYTES_A_REQUEST
    finally:
        tracemalloc.stop()
