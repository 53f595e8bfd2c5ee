"""Random sequences of all routes, compared with a model of the contract that knows nothing of the code.

The sequences are the same in every run, so that only a change turns them red; `TEST_SIZE=full` has more.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar
from unicodedata import normalize

import pytest
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import Engine, text

from migrations.runner import make_engine
from shared.database import connection as database_connection
from shared.settings import Timeouts
from tests.client import BUNDLES, REQUEST_ID, Answer, request
from tests.conftest import CreateDatabase, use_settings
from tests.postgres import EMPTY

FULL = os.environ.get("TEST_SIZE") == "full"
RUNS, STEPS = (500, 60) if FULL else (50, 30)

FIELDS = ("code", "name", "description", "token_amount", "price", "is_active", "sort_order", "metadata")
DEFAULTS: dict[str, Any] = {
    "code": None, "description": None, "is_active": True, "sort_order": 0, "metadata": {},
}  # fmt: skip
ACTIONS = ("created", "updated", "activated", "deactivated", "deleted", "restored")
# What only a change that is made has; and what only a creation that is made has.
UNKNOWN_BEFORE = {"version", "updated_at"}
UNKNOWN_BEFORE_A_CREATION = {"id", "created_at", *UNKNOWN_BEFORE}
SORT_KEYS = ("sort_order", "name", "code", "price", "token_amount", "created_at", "updated_at")
CALLERS = ("admin-1", "admin-2")
NO_UUID = "not-a-uuid"
UNKNOWN = "00000000-0000-4000-8000-000000000000"
ROUTES_OF_ONE = [
    ("GET", ""),
    ("GET", "/history"),
    ("PUT", ""),
    ("PATCH", ""),
    ("DELETE", ""),
    ("POST", "/activate"),
    ("POST", "/deactivate"),
    ("POST", "/restore"),
]


@dataclass(frozen=True)
class Written:
    """A field as it is written in JSON, and what is stored for it."""

    json: str
    stored: Any


@dataclass
class Stored:
    """A bundle as it must be shown now, and everything that was done to it."""

    shown: dict[str, Any]
    deleted: bool = False
    history: list[dict[str, Any]] = field(default_factory=list)
    states: dict[int, dict[str, Any]] = field(default_factory=dict)

    @property
    def tag(self) -> str:
        return f'"{self.shown["version"]}"'


@dataclass(frozen=True)
class Remembered:
    """What an idempotency key was used for."""

    fields: Mapping[str, Any]
    answer: Answer


def written(value: Any) -> Written:
    return Written(json.dumps(value), value)


def price(cents: int, form: str) -> Written:
    units = Decimal(cents).scaleb(-2)
    plain = f"{units:f}"
    shortest = plain.rstrip("0").rstrip(".")
    forms = {
        "text": f'"{plain}"',
        "number": plain,
        "short text": f'"{shortest}"',
        "short number": shortest,
        "exponent": f"{cents}e-2",
    }
    return Written(forms[form], plain)


PLAIN_NAMES = st.text("abAB1%_\\,'é😀 ", min_size=1, max_size=6).filter(lambda name: name == name.strip())
NAMES = st.one_of(
    PLAIN_NAMES.map(written),
    PLAIN_NAMES.map(lambda name: Written(json.dumps(f" \t{name}\n\u00a0"), name)),
    st.just(written("n" * 255)),
)
DESCRIPTIONS = st.one_of(
    st.sampled_from([written(None), Written('""', None), written(" "), written("d" * 2000)]),
    st.text("xy\n ü", min_size=1, max_size=5).map(written),
)
TOKEN_AMOUNTS = st.one_of(st.integers(1, 5), st.sampled_from([2**31 - 1])).map(written)
PRICES = st.builds(
    price,
    st.one_of(st.integers(0, 300), st.integers(0, 9_999_999_999)),
    st.sampled_from(["text", "number", "short text", "short number", "exponent"]),
)
SORT_ORDERS = st.one_of(
    st.integers(-2, 2).map(written),
    st.sampled_from([Written("null", 0), Written('""', 0), written(2**31 - 1), written(-(2**31))]),
)
# So few that they meet.
CODES = st.sampled_from([written("a"), written("b-1"), written("c.2_d"), written(None), Written('""', None)])
METADATA = st.sampled_from(
    [written({}), Written("null", {}), written({"a": "1"}), written({"K.-_9": "é" * 200, "a": ""})]
)
REQUIRED = {"name": NAMES, "token_amount": TOKEN_AMOUNTS, "price": PRICES}
OPTIONAL = {
    "code": CODES, "description": DESCRIPTIONS, "is_active": st.booleans().map(written),
    "sort_order": SORT_ORDERS, "metadata": METADATA,
}  # fmt: skip

WHOLE_BODIES = st.fixed_dictionaries(REQUIRED, optional=OPTIONAL)
PARTIAL_BODIES = st.fixed_dictionaries({}, optional=REQUIRED | OPTIONAL)
WRONG = {
    "code": ['"A"', '"-a"', '"a b"', "5", f'"{"x" * 65}"', '"a\\n"'],
    "metadata": ["[]", '"x"', "5", json.dumps({str(number): "" for number in range(21)})],
    "name": ["null", '""', '" \\t "', "5", '["a"]', f'"{"n" * 256}"', '"\\u0000"', '"\\ud800"'],
    "description": ["5", "{}", f'"{"d" * 2001}"', '"a\\u0000b"'],
    "token_amount": ["null", '"12"', "1.5", "1.0", "true", "0", "-1", "2147483648", "1e3"],
    "price": [
        "null", "true", '""', "[]", '"abc"', "-0.01", '"1.999"', "0.001", "9.900", "100000000", '"NaN"',
        '"Infinity"', '"1_000"', '"٣"', '"1 0"', '" 1"', "1e400", '"1,50"',
    ],
    "is_active": ["null", "1", '"true"', '"off"'],
    "sort_order": ['"5"', '" "', "1.5", "false", "2147483648", "-2147483649"],
    "colour": ['"red"'],
    "__proto__": ["{}"],
}  # fmt: skip
WRONG_IN_A_CREATION = WRONG | {
    "id": [f'"{UNKNOWN}"'],
    "currency": ['"EUR"'],
    "version": ["1"],
    "created_at": ['"2026-01-01T00:00:00Z"'],
    "updated_at": ["null"],
}
WRONG_IN_AN_UPDATE = WRONG | {
    "id": [f'"{UNKNOWN}"', f'"{NO_UUID}"', "null", "1"],
    "currency": ['"USD"', '"eur"', "null"],
    "version": ["null", '"1"', "1.0", "true", "9223372036854775808"],
}


def wrong_fields(wrong: Mapping[str, list[str]]) -> st.SearchStrategy[dict[str, str]]:
    return st.lists(
        st.sampled_from([(name, value) for name, values in wrong.items() for value in values]),
        min_size=1,
        max_size=3,
        unique_by=lambda wrong: wrong[0],
    ).map(dict)


GIVEN_TWICE = st.just("") | st.sampled_from(FIELDS)
# What an update may send back of a bundle of version {v}: with another version it is a conflict.
CURRENT_VERSION = "{v}"
ANYTHING = st.sampled_from(["null", "5", '"x"', "[]", '"2026-01-01T00:00:00Z"'])
AS_READ = st.fixed_dictionaries(
    {},
    optional={
        "id": st.sampled_from(['"{id}"', '"{simple_id}"']),
        "currency": st.just('"EUR"'),
        "version": st.just(CURRENT_VERSION)
        | st.sampled_from(["{before}", "{after}", "{v}0", "-1", "9223372036854775807"]),
        "created_at": ANYTHING,
        "updated_at": ANYTHING,
    },
)

# Each with its meaning for a bundle of version {v}: whether it names the version strongly, and weakly.
ENTITY_TAGS: dict[str, tuple[bool, bool]] = {
    '"{v}"': (True, True),
    "*": (True, True),
    '"x", "{v}"': (True, True),
    ' W/"{v}" ,, "{v}",': (True, True),
    'W/"{v}"': (False, True),
    'W/"x",W/"{v}"': (False, True),
    '"{before}"': (False, False),
    '"{after}"': (False, False),
    '"0{v}"': (False, False),
    '"{v},"': (False, False),
    '"", "x"': (False, False),
}
GARBAGE_TAGS = ["{v}", '"{v}', "'{v}'", 'w/"{v}"', '*, "{v}"', '"{before}" "{v}"', "", ","]
ANY_TAGS = st.sampled_from([*ENTITY_TAGS, *GARBAGE_TAGS])
# If-Match and If-None-Match, mostly such that there is something to see of the other one.
CONDITIONS = st.tuples(
    st.one_of(st.none(), st.just('"{v}"'), ANY_TAGS),
    st.one_of(st.none(), st.none(), st.just('"{before}"'), ANY_TAGS),
)
UNCONDITIONAL = (None, None)
Conditions = tuple[str | None, str | None]
HEADERS = ("If-Match", "If-None-Match")

PAGES = st.fixed_dictionaries(
    {},
    optional={
        "page": st.integers(1, 4) | st.sampled_from([2**63 - 1]),
        "per_page": st.integers(1, 4) | st.sampled_from([100, 101, 2**63 - 1]),
    },
)
FILTERS: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {},
    optional={
        "include_inactive": st.sampled_from(["true", "false", "TRUE", "False"]),
        "is_active": st.sampled_from(["true", "FALSE"]),
        "code": st.lists(st.sampled_from(["a", "b-1", "c.2_d", "unknown", "A"]), min_size=1, max_size=3),
        "id": st.lists(st.integers(-1, 3), min_size=1, max_size=3),
        "q": st.sampled_from(["%", "_", "\\", "a", "B", "É"]) | st.text("abAB1%_\\,'éÉ ", max_size=2),
        "sort": st.lists(
            st.sampled_from([*SORT_KEYS, *(f"-{key}" for key in SORT_KEYS)]),
            min_size=1,
            max_size=3,
            unique_by=lambda key: str(key).removeprefix("-"),
        ),
        "colour": st.just("red"),
    },
)
WRONG_PARAMETERS = st.sampled_from(
    [
        *(("id", wrong) for wrong in ["", "x", f"{UNKNOWN},", ",".join([UNKNOWN] * 101)]),
        *(("is_active", wrong) for wrong in ["", "no"]),
        ("code", ",".join(["a"] * 101)),
        *(("page", wrong) for wrong in ["0", "-1", "abc", "", "1.0", "9" * 20]),
        *(("per_page", wrong) for wrong in ["0", "-1", "x", "", "9" * 20]),
        *(("include_inactive", wrong) for wrong in ["maybe", "", "1"]),
        *(("sort", wrong) for wrong in ["color", "", "name,", "--name", "id", "name,-name"]),
        ("q", "\0"),
    ]
)


# As it is sent, and as it is kept.
REASONS = {"": None, " \t": None, " autumn ": "autumn", "r" * 200: "r" * 200, "é'; --": "é'; --"}
VERSIONS = st.none() | st.just(CURRENT_VERSION) | st.sampled_from(["{before}", "{after}"])


def folded(name: str) -> str:
    return normalize("NFC", normalize("NFC", name.strip()).casefold())


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: {"from": before.get(name), "to": after.get(name)}
        for name in FIELDS
        if before.get(name) != after.get(name)
    }


def is_far(price: Fraction, usual: Fraction) -> bool:
    return price > 2 * usual or 2 * price < usual


def warnings_of(
    before: Mapping[str, Any], after: Mapping[str, Any], others: Sequence[Mapping[str, Any]]
) -> set[tuple[str, str]]:
    """What deserves a second look, given the others as they would be."""
    found = set()
    on_sale = [other for other in others if other["is_active"]]
    if after:
        price, tokens = Fraction(after["price"]), after["token_amount"]
        if before and is_far(price, Fraction(before["price"])):
            found.add(("price_changed_much", "/price"))
        per_token = sorted(Fraction(other["price"]) / other["token_amount"] for other in on_sale)
        middle = per_token[(len(per_token) - 1) // 2 : len(per_token) // 2 + 1]
        if len(per_token) >= 3 and is_far(price / tokens, sum(middle, Fraction()) / len(middle)):
            found.add(("price_per_token_unusual", "/price"))
        for other in on_sale:
            cheaper, larger = Fraction(other["price"]) - price, other["token_amount"] - tokens
            if (cheaper <= 0 <= larger) or (larger <= 0 <= cheaper):
                found.add(("dominated", "/price"))
        if folded(after["name"]) in {folded(other["name"]) for other in others}:
            found.add(("same_name", "/name"))
    if before.get("is_active") and not after.get("is_active") and not on_sale:
        found.add(("last_active", "/is_active" if after else ""))
    return found


def in_json(fields: Mapping[str, Written | str], twice: str = "") -> str:
    members = {
        name: f"{json.dumps(name)}: {value if isinstance(value, str) else value.json}"
        for name, value in fields.items()
    }
    return f"{{{', '.join([*members.values(), *filter(None, [members.get(twice)])])}}}"


def time_of(shown: Mapping[str, Any], name: str) -> datetime:
    assert shown[name].endswith("Z")
    return datetime.fromisoformat(shown[name])


def page_of(items: Sequence[Any], query: Mapping[str, Any]) -> dict[str, Any]:
    page, per_page = query.get("page", 1), min(query.get("per_page", 20), 100)
    start = (page - 1) * per_page
    return {
        "items": list(items[start : start + per_page]),
        "total": len(items),
        "page": page,
        "per_page": per_page,
        "pages": -(-len(items) // per_page),
    }


def assert_problem(answer: Answer, status: int) -> dict[str, Any]:
    assert answer.status == status, answer
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json
    assert problem["status"] == status
    assert problem["detail"] == problem["error"]
    assert problem["request_id"] == REQUEST_ID
    return problem


def assert_wrong(
    answer: Answer,
    *,
    fields: Collection[str] = (),
    headers: Collection[str] = (),
    parameter: str | None = None,
) -> None:
    errors = assert_problem(answer, 400)["errors"]
    expected = [("pointer", f"/{name}") for name in fields]
    expected += [("header", name) for name in headers]
    expected += [("parameter", parameter)] if parameter else []
    assert sorted(next(iter(error.items())) for error in errors) == sorted(expected)


class Catalogue(RuleBasedStateMachine):
    """The contract in plain Python, and the calls that must agree with it."""

    administrator: ClassVar[Engine]
    ids: Bundle[str] = Bundle("ids")
    keys: Bundle[tuple[str, str, dict[str, Written]]] = Bundle("keys")

    def __init__(self) -> None:
        super().__init__()
        with self.administrator.begin() as connection:
            connection.execute(text(EMPTY))
        self.known: dict[str, Stored] = {}
        self.remembered: dict[tuple[str, str], Remembered] = {}
        # Whether changes are looked at first, why they are made, and whether they must name a version.
        self.looks, self.reason, self.demands = True, "", False

    @initialize(target=ids, bodies=st.tuples(WHOLE_BODIES, WHOLE_BODIES))
    def begin_with_two(self, bodies: tuple[dict[str, Written], ...]) -> Any:
        # Both are there: without codes neither meets the other.
        return multiple(*(self.create(body | {"code": written(None)}, CALLERS[0], "") for body in bodies))

    @initialize(target=keys, bodies=st.tuples(WHOLE_BODIES, WHOLE_BODIES))
    def begin_with_two_keys(self, bodies: tuple[dict[str, Written], ...]) -> Any:
        return multiple(*(("k", caller, body) for caller, body in zip(CALLERS, bodies, strict=True)))

    @rule(
        looks=st.booleans(), reason=st.sampled_from([*REASONS]), demands=st.sampled_from([False] * 3 + [True])
    )
    def change_the_way_of_working(self, looks: bool, reason: str, demands: bool) -> None:
        self.looks, self.reason, self.demands = looks, reason, demands

    # Creating

    @rule(target=ids, body=WHOLE_BODIES, subject=st.sampled_from(CALLERS), path=st.sampled_from(["", "/"]))
    def create(self, body: dict[str, Written], subject: str, path: str) -> Any:
        answer = self._write("POST", path, body=in_json(body), subject=subject)
        if self._is_taken(body, answer):
            return multiple()
        return self._created(answer, body, subject)

    @rule(
        target=keys,
        key=st.sampled_from(["k", "!" * 255, '"quoted, key"'.replace(" ", "")]),
        subject=st.sampled_from(CALLERS),
        body=WHOLE_BODIES,
    )
    def choose_a_key(self, key: str, subject: str, body: dict[str, Written]) -> Any:
        return key, subject, body

    @rule(
        target=ids,
        chosen=keys,
        meanwhile=st.lists(st.sampled_from(["nothing", "update", "delete"]), max_size=2),
        changes=st.just({}) | st.fixed_dictionaries({}, optional=REQUIRED | OPTIONAL),
    )
    def create_with_key(
        self,
        chosen: tuple[str, str, dict[str, Written]],
        meanwhile: Sequence[str],
        changes: dict[str, Written],
    ) -> Any:
        key, subject, body = chosen
        created = [self._create_with_key(key, subject, body | changes)]
        for event in meanwhile if (subject, key) in self.remembered else []:
            bundle_id = self.remembered[subject, key].answer.bundle["id"]
            match event:
                case "update":
                    changed = {"sort_order": written(len(self.known))}
                    self.update(bundle_id, "PATCH", changed, {}, UNCONDITIONAL, subject)
                case "delete":
                    self.delete(bundle_id, UNCONDITIONAL, subject)
            created.append(self._create_with_key(key, subject, body | changes))
        return multiple(*filter(None, created))

    def _create_with_key(self, key: str, subject: str, body: dict[str, Written]) -> str | None:
        answer = self._write(
            "POST", "", body=in_json(body), subject=subject, headers={"Idempotency-Key": key}
        )
        fields = DEFAULTS | {name: value.stored for name, value in body.items()}
        first = self.remembered.get((subject, key))
        if first is None:
            if self._is_taken(body, answer):
                return None
            self.remembered[subject, key] = Remembered(fields, answer)
            return self._created(answer, body, subject)
        if first.fields != fields:
            assert_problem(answer, 422)
        else:
            assert (answer.status, answer.text) == (201, first.answer.text)
            assert answer.headers == {**first.answer.headers, "idempotency-replayed": "true"}
        return None

    @rule(
        body=WHOLE_BODIES,
        wrong=wrong_fields(WRONG_IN_A_CREATION) | st.just({}),
        missing=st.sets(st.sampled_from(sorted(REQUIRED))),
        twice=GIVEN_TWICE,
        key=st.sampled_from([None, "k", "", "two words", "k" * 256, "ü"]),
        names_nobody=st.booleans(),
    )
    def create_wrongly(
        self,
        body: dict[str, Written],
        wrong: dict[str, str],
        missing: set[str],
        twice: str,
        key: str | None,
        names_nobody: bool,
    ) -> None:
        missing -= wrong.keys()
        fields = {name: value for name, value in body.items() if name not in missing} | wrong
        doubled = fields.keys() & {twice}
        wrong_key = key not in {None, "k"} or (names_nobody and key is not None)
        assume(wrong or missing or doubled or wrong_key)
        headers = {} if key is None else {"Idempotency-Key": key}
        claims: dict[str, str] | None = {} if names_nobody else None
        answer = request("POST", body=in_json(fields, twice), headers=headers, claims=claims)
        headers_named = ["Idempotency-Key"] if wrong_key else []
        assert_wrong(answer, fields=missing | wrong.keys() | doubled, headers=headers_named)

    def _created(self, answer: Answer, body: Mapping[str, Written], subject: str) -> str:
        assert answer.status == 201, answer
        assert "idempotency-replayed" not in answer.headers
        shown = answer.bundle
        bundle = Stored(
            DEFAULTS
            | {name: value.stored for name, value in body.items()}
            | {"id": shown["id"], "currency": "EUR", "version": 1}
            | {"created_at": shown["created_at"], "updated_at": shown["updated_at"]}
        )
        assert shown == bundle.shown
        assert answer.location == f"{BUNDLES}/{shown['id']}"
        assert answer.headers["etag"] == bundle.tag
        assert time_of(shown, "created_at") <= time_of(shown, "updated_at")
        assert shown["id"] not in self.known
        self.known[shown["id"]] = bundle
        self._record(bundle, "created", {}, bundle.shown, subject)
        return str(shown["id"])

    # Changing

    @rule(
        bundle_id=ids,
        method=st.sampled_from(["PUT", "PATCH"]),
        body=PARTIAL_BODIES,
        as_read=st.just({}) | AS_READ,
        conditions=CONDITIONS,
        subject=st.sampled_from(CALLERS),
    )
    def update(
        self,
        bundle_id: str,
        method: str,
        body: dict[str, Written],
        as_read: dict[str, str],
        conditions: Conditions,
        subject: str,
    ) -> None:
        sent = {name: self._filled(bundle_id, value) for name, value in as_read.items()}
        answer = self._send(method, bundle_id, "", conditions, subject, in_json({**body, **sent}))
        admitted = self._is_admitted(answer, bundle_id, conditions, as_read.get("version"))
        if admitted and not self._is_taken(body, answer, bundle_id):
            fields = {name: value.stored for name, value in body.items()}
            self._changed(answer, bundle_id, "updated", fields, subject)

    @rule(
        bundle_id=ids,
        method=st.sampled_from(["PUT", "PATCH"]),
        names=st.none() | st.sets(st.sampled_from(FIELDS)),
    )
    def save_what_is_shown(self, bundle_id: str, method: str, names: set[str] | None) -> None:
        shown = self.known[bundle_id].shown
        sent = shown if names is None else {name: shown[name] for name in names}
        answer = self._send(method, bundle_id, "", UNCONDITIONAL, "admin-2", json.dumps(sent))
        if self._is_admitted(answer, bundle_id, UNCONDITIONAL, CURRENT_VERSION if names is None else None):
            self._changed(answer, bundle_id, "updated", {}, "admin-2")

    @rule(
        bundle_id=ids | st.sampled_from([NO_UUID, UNKNOWN]),
        method=st.sampled_from(["PUT", "PATCH"]),
        body=PARTIAL_BODIES,
        wrong=wrong_fields(WRONG_IN_AN_UPDATE) | st.just({}),
        twice=GIVEN_TWICE,
        conditions=CONDITIONS,
    )
    def update_wrongly(
        self,
        bundle_id: str,
        method: str,
        body: dict[str, Written],
        wrong: dict[str, str],
        twice: str,
        conditions: Conditions,
    ) -> None:
        # Another id is no other one than that of a path that has none.
        assume(bundle_id not in {NO_UUID, UNKNOWN} or wrong.get("id") != f'"{UNKNOWN}"')
        fields: dict[str, Written | str] = {**body, **wrong}
        doubled = fields.keys() & {twice}
        assume(wrong or doubled)
        answer = self._send(method, bundle_id, "", conditions, CALLERS[0], in_json(fields, twice))
        # What is wrong with the request comes before the bundle is looked up.
        assert_wrong(answer, fields=wrong.keys() | doubled, headers=self._garbage(conditions))

    @rule(
        bundle_id=ids,
        active=st.booleans(),
        conditions=CONDITIONS,
        subject=st.sampled_from(CALLERS),
        body=st.sampled_from([None, "", "{}", '{"is_active": "?"}', "no JSON"]),
    )
    def set_active(
        self, bundle_id: str, active: bool, conditions: Conditions, subject: str, body: str | None
    ) -> None:
        action = "activate" if active else "deactivate"
        answer = self._send("POST", bundle_id, f"/{action}", conditions, subject, body)
        if self._is_admitted(answer, bundle_id, conditions):
            self._changed(answer, bundle_id, f"{action}d", {"is_active": active}, subject)

    @rule(bundle_id=ids, conditions=CONDITIONS, subject=st.sampled_from(CALLERS))
    def delete(self, bundle_id: str, conditions: Conditions, subject: str) -> None:
        answer = self._send("DELETE", bundle_id, "", conditions, subject)
        if self._is_admitted(answer, bundle_id, conditions):
            assert answer.status == 200
            assert list(answer.json) == ["message"]
            bundle = self.known[bundle_id]
            before, bundle.deleted = bundle.shown, True
            bundle.shown = before | {"version": before["version"] + 1}
            self._record(bundle, "deleted", before, {}, subject)

    @rule(
        entries=st.lists(
            st.tuples(ids | st.just(UNKNOWN), PARTIAL_BODIES.filter(bool), VERSIONS),
            min_size=1,
            max_size=4,
            unique_by=lambda entry: entry[0],
        ),
        subject=st.sampled_from(CALLERS),
        path=st.sampled_from(["", "/"]),
    )
    def update_many(
        self, entries: list[tuple[str, dict[str, Written], str | None]], subject: str, path: str
    ) -> None:
        bodies = []
        for bundle_id, body, version in entries:
            named = {} if version is None else {"version": self._filled(bundle_id, version)}
            bodies.append(in_json({"id": json.dumps(bundle_id), **body, **named}))
        answer = self._write("PATCH", path, body=f'{{"bundles": [{", ".join(bodies)}]}}', subject=subject)
        if self.demands and any(version is None for _, _, version in entries):
            assert_problem(answer, 428)
            return
        refused = []
        held = {shown["code"]: shown["id"] for shown in self._shown_bundles()}
        given: set[str | None] = set()
        for place, (bundle_id, body, version) in enumerate(entries):
            code = body["code"].stored if "code" in body else None
            pointer = f"/bundles/{place}"
            if bundle_id not in self.known or not self._exists(bundle_id):
                refused.append((f"{pointer}/id", "not_found"))
            elif version not in {None, CURRENT_VERSION}:
                refused.append((f"{pointer}/version", "changed_meanwhile"))
            elif code is not None and (held.get(code, bundle_id) != bundle_id or code in given):
                refused.append((f"{pointer}/code", "code_taken"))
            given.add(code)
        if refused:
            errors = assert_problem(answer, 409)["errors"]
            assert [(error["pointer"], error["code"]) for error in errors] == refused
            return
        assert answer.status == 200, answer
        for (bundle_id, body, _), shown in zip(entries, answer.json["bundles"], strict=True):
            fields = {name: value.stored for name, value in body.items()}
            self._is_now(shown, bundle_id, "updated", fields, subject)

    @rule(
        bundle_id=ids | st.sampled_from([NO_UUID, UNKNOWN]),
        version=st.integers(1, 5),
        conditions=CONDITIONS,
        subject=st.sampled_from(CALLERS),
    )
    def restore(self, bundle_id: str, version: int, conditions: Conditions, subject: str) -> None:
        body = f'{{"version": {version}}}'
        answer = self._send("POST", bundle_id, "/restore", conditions, subject, body)
        if garbage := self._garbage(conditions):
            assert_wrong(answer, headers=garbage)
            return
        if bundle_id not in self.known:
            assert_problem(answer, 404)
            return
        bundle = self.known[bundle_id]
        if version not in bundle.states:
            assert_wrong(answer, fields=["version"])
            return
        fields = bundle.states[version]
        if not bundle.deleted:
            admitted = self._is_admitted(answer, bundle_id, conditions)
            if admitted and not self._is_taken(fields, answer, bundle_id):
                self._changed(answer, bundle_id, "restored", fields, subject)
        elif conditions[0] is not None:
            assert_problem(answer, 412)
        elif not self._is_taken(fields, answer, bundle_id):
            assert answer.status == 200, answer
            bundle.deleted = False
            bundle.shown |= fields | {"is_active": False, "version": bundle.shown["version"] + 1}
            bundle.shown |= {"updated_at": answer.bundle["updated_at"]}
            assert answer.bundle == bundle.shown
            assert answer.headers["etag"] == bundle.tag
            self._record(bundle, "restored", {}, bundle.shown, subject)

    def _write(self, method: str, path: str, **options: Any) -> Answer:
        query = {"reason": self.reason} if self.reason else {}
        with ExitStack() as stack:
            if self.demands:
                stack.enter_context(use_settings(REQUIRE_IF_MATCH="true"))
            look = None
            if self.looks:
                look = request(method, path, query=query | {"validate_only": "TRUE"}, **options)
            answer = request(method, path, query=query, **options)
        if look is not None:
            self._compare(look, answer, method, path.strip("/").split("/")[0])
        return answer

    def _compare(self, look: Answer, answer: Answer, method: str, bundle_id: str) -> None:
        """Compare what would have come of a request with what has, before the model knows of that."""
        if answer.status >= 400:
            assert (look.status, look.text) == (answer.status, answer.text)
            return
        replayed = answer.headers.get("idempotency-replayed")
        assert (look.status, look.json["validate_only"]) == (200, True)
        assert not {"etag", "location"} & look.headers.keys()
        assert look.headers.get("idempotency-replayed") == replayed
        was = {shown["id"]: shown for shown in self._shown_bundles()}
        if method == "DELETE":
            others = [shown for shown in was.values() if shown["id"] != bundle_id]
            assert look.json["message"] == answer.json["message"]
            assert look.json["changes"] == differences(was[bundle_id], {})
            expected = warnings_of(was[bundle_id], {}, others)
            assert {(one["code"], one["pointer"]) for one in look.json["warnings"]} == expected
            return
        many = "bundles" in answer.json
        after = answer.json["bundles"] if many else [answer.bundle]
        shown, changes = (look.json[name] if many else [look.json[name]] for name in (
            "bundles" if many else "bundle", "changes"
        ))  # fmt: skip
        unknown = UNKNOWN_BEFORE_A_CREATION if answer.status == 201 else UNKNOWN_BEFORE
        assert shown == [{name: one[name] for name in one if name not in unknown} for one in after]
        # Of a replay nothing is new.
        expected = set()
        will_be = was | ({} if replayed else {one["id"]: one for one in after})
        for place, one in enumerate(after):
            before = one if replayed else was.get(one["id"], {})
            assert changes[place] == differences(before, one)
            others = [other for other in will_be.values() if other["id"] != one["id"]]
            of_one = set() if replayed else warnings_of(before, one, others)
            expected |= {(code, f"/bundles/{place}{to}" if many else to) for code, to in of_one}
        warned = [(one["code"], one["pointer"]) for one in look.json["warnings"]]
        assert sorted(warned) == sorted(expected)

    def _is_taken(self, fields: Mapping[str, Any], answer: Answer, bundle_id: str = "") -> bool:
        """Tell whether another bundle has the code, and check the answer when it has."""
        code = fields.get("code")
        code = code.stored if isinstance(code, Written) else code
        others = {shown["code"] for shown in self._shown_bundles() if shown["id"] != bundle_id}
        if code is None or code not in others:
            return False
        (error,) = assert_problem(answer, 409)["errors"]
        assert (error["pointer"], error["code"]) == ("/code", "code_taken")
        return True

    def _send(
        self,
        method: str,
        bundle_id: str,
        path: str,
        conditions: Conditions,
        subject: str,
        body: str | None = None,
    ) -> Answer:
        headers = self._headers(bundle_id, conditions)
        return self._write(method, f"/{bundle_id}{path}", headers=headers, subject=subject, body=body)

    def _headers(self, bundle_id: str, conditions: Conditions) -> dict[str, str]:
        named = zip(HEADERS, conditions, strict=True)
        return {name: self._filled(bundle_id, tags) for name, tags in named if tags is not None}

    def _filled(self, bundle_id: str, text: str) -> str:
        version = self.known[bundle_id].shown["version"] if bundle_id in self.known else 1
        simple_id = bundle_id.replace("-", "").upper()
        return text.format(
            v=version, before=version - 1, after=version + 1, id=bundle_id, simple_id=simple_id
        )

    def _exists(self, bundle_id: str) -> bool:
        return not self.known[bundle_id].deleted

    def _garbage(self, conditions: Conditions) -> list[str]:
        return [name for name, tags in zip(HEADERS, conditions, strict=True) if tags in GARBAGE_TAGS]

    def _is_admitted(
        self, answer: Answer, bundle_id: str, conditions: Conditions, version: str | None = None
    ) -> bool:
        """Tell whether the request may change something, and check the answer when it may not."""
        if_match, if_none_match = conditions
        if garbage := self._garbage(conditions):
            assert_wrong(answer, headers=garbage)
        elif not self._exists(bundle_id):
            assert_problem(answer, 404)
        elif self.demands and if_match is None and version is None:
            assert_problem(answer, 428)
        elif if_match is not None and not ENTITY_TAGS[if_match][0]:
            detail = assert_problem(answer, 412)["detail"]
            assert ("weakened" in detail) == ("W/" in if_match) or if_none_match == "*"
        elif if_none_match is not None and ENTITY_TAGS[if_none_match][1]:
            assert_problem(answer, 412)
        elif version not in {None, CURRENT_VERSION}:
            (error,) = assert_problem(answer, 409)["errors"]
            assert (error["pointer"], error["code"]) == ("/version", "changed_meanwhile")
            assert error["current_version"] == self.known[bundle_id].shown["version"]
        else:
            return True
        return False

    def _changed(
        self, answer: Answer, bundle_id: str, action: str, fields: dict[str, Any], subject: str
    ) -> None:
        assert answer.status == 200, answer
        self._is_now(answer.bundle, bundle_id, action, fields, subject)
        assert answer.headers["etag"] == self.known[bundle_id].tag

    def _is_now(
        self, shown: dict[str, Any], bundle_id: str, action: str, fields: dict[str, Any], subject: str
    ) -> None:
        bundle = self.known[bundle_id]
        before = bundle.shown
        if before | fields != before:
            assert time_of(shown, "updated_at") > time_of(before, "updated_at")
            bundle.shown = before | fields
            bundle.shown |= {"version": before["version"] + 1, "updated_at": shown["updated_at"]}
            self._record(bundle, action, before, bundle.shown, subject)
        assert shown == bundle.shown

    def _record(
        self, bundle: Stored, action: str, before: dict[str, Any], after: dict[str, Any], subject: str
    ) -> None:
        version = bundle.shown["version"]
        if after:
            bundle.states[version] = {name: after[name] for name in FIELDS}
        bundle.history.insert(
            0,
            {
                "version": version,
                "action": action,
                "changes": differences(before, after),
                "reason": REASONS[self.reason],
                "changed_by": subject,
                "client_id": None,
                "request_id": REQUEST_ID,
            },
        )

    # Reading

    @rule(bundle_id=ids, if_match=st.none() | ANY_TAGS, if_none_match=st.none() | ANY_TAGS)
    def get(self, bundle_id: str, if_match: str | None, if_none_match: str | None) -> None:
        headers = self._headers(bundle_id, (if_match, if_none_match))
        answer = request("GET", f"/{bundle_id}", headers=headers)
        if if_match in GARBAGE_TAGS:
            assert_wrong(answer, headers=["If-Match"])
            return
        if not self._exists(bundle_id):
            assert_problem(answer, 404)
            return
        if if_match is not None and not ENTITY_TAGS[if_match][0]:
            assert_problem(answer, 412)
            return
        bundle = self.known[bundle_id]
        assert answer.headers["cache-control"] == "private, no-cache"
        assert answer.headers["etag"] == bundle.tag
        if ENTITY_TAGS.get(if_none_match or "", (False, False))[1]:
            assert (answer.status, answer.text) == (304, "")
        else:
            assert answer.status == 200, answer
            assert answer.bundle == bundle.shown

    @rule(filters=FILTERS, pages=PAGES, path=st.sampled_from(["", "/"]))
    def list_bundles(self, filters: dict[str, Any], pages: dict[str, int], path: str) -> None:
        sort = filters.get("sort", ["sort_order", "name"])
        known = [*self.known]
        named = dict(filters)
        if "id" in filters:
            named["id"] = [known[place] if 0 <= place < len(known) else UNKNOWN for place in filters["id"]]
        query = named | {name: str(number) for name, number in pages.items()}
        joined = {name: ",".join(value) for name, value in query.items() if isinstance(value, list)}
        answer = request("GET", path, query=query | joined)
        chosen = "id" in named or "code" in named
        found = [
            shown
            for shown in self._shown_bundles()
            if filters.get("q", "").strip().lower() in shown["name"].lower()
            and (shown["is_active"] or filters.get("include_inactive", "true").lower() == "true")
            and filters.get("is_active", str(shown["is_active"])).lower() == str(shown["is_active"]).lower()
            and (not chosen or shown["id"] in named.get("id", ()) or shown["code"] in named.get("code", ()))
        ]
        found.sort(key=lambda shown: shown["id"])
        for key in reversed(sort):
            name = key.removeprefix("-")
            found.sort(key=lambda shown: self._sortable(shown, name), reverse=key != name)
            if name == "code":
                found.sort(key=lambda shown: shown["code"] is None)
        assert answer.status == 200, answer
        assert answer.json == page_of(found, pages)

    @rule(wrong=WRONG_PARAMETERS)
    def list_wrongly(self, wrong: tuple[str, str]) -> None:
        name, value = wrong
        assert_wrong(request("GET", query={name: value}), parameter=name)

    @rule(
        route=st.sampled_from(
            [("GET", ""), ("POST", ""), *((method, f"/{{}}{path}") for method, path in ROUTES_OF_ONE)]
        ),
        bundle_id=ids | st.sampled_from([NO_UUID, UNKNOWN]),
        name=st.sampled_from(["page", "sort", "colour"]),
    )
    def give_a_parameter_twice(self, route: tuple[str, str], bundle_id: str, name: str) -> None:
        method, path = route
        body = {"name": "n", "token_amount": 1, "price": 1} if route == ("POST", "") else {}
        body = {"version": 1} if path.endswith("/restore") else body
        query = f"{name}=1&{'per_page=1&' if method == 'GET' else ''}{name}=2"
        assert_wrong(request(method, path.format(bundle_id), json_body=body, query=query), parameter=name)

    @rule(bundle_id=ids, pages=PAGES)
    def list_history(self, bundle_id: str, pages: dict[str, int]) -> None:
        answer = request(
            "GET", f"/{bundle_id}/history", query={n: str(number) for n, number in pages.items()}
        )
        assert answer.status == 200, answer
        page = answer.json
        times = [time_of(entry, "changed_at") for entry in page["items"]]
        assert times == sorted(times, reverse=True)
        for entry in page["items"]:
            del entry["changed_at"]
        assert page == page_of(self.known[bundle_id].history, pages)

    @rule(
        route=st.sampled_from(ROUTES_OF_ONE),
        bundle_id=st.sampled_from([NO_UUID, UNKNOWN]),
        tags=st.none() | st.sampled_from(["*", '"1"']),
    )
    def ask_for_what_never_was(self, route: tuple[str, str], bundle_id: str, tags: str | None) -> None:
        method, path = route
        headers = {} if tags is None else {"If-Match": tags, "If-None-Match": tags}
        body = {"version": 1} if path == "/restore" else {}
        assert_problem(request(method, f"/{bundle_id}{path}", json_body=body, headers=headers), 404)

    @rule(
        route=st.sampled_from([route for route in ROUTES_OF_ONE if route[0] != "GET"]),
        bundle_id=ids,
        name=st.sampled_from(["validateonly", "Reason", "page"]),
    )
    def misspell_a_parameter(self, route: tuple[str, str], bundle_id: str, name: str) -> None:
        method, path = route
        body = {"version": 1} if path == "/restore" else {"price": "0.07"}
        answer = request(method, f"/{bundle_id}{path}", json_body=body, query={name: "true"})
        assert_wrong(answer, parameter=name)

    @rule(
        per_page=st.integers(1, 6),
        changed_by=st.sampled_from([None, *CALLERS, "nobody"]),
        actions=st.none() | st.lists(st.sampled_from(ACTIONS), min_size=1, max_size=3),
    )
    def walk_through_what_was_done(
        self, per_page: int, changed_by: str | None, actions: list[str] | None
    ) -> None:
        query = {"per_page": str(per_page)}
        query |= {} if changed_by is None else {"changed_by": changed_by}
        query |= {} if actions is None else {"action": ",".join(actions)}
        found: list[dict[str, Any]] = []
        after: str | None = ""
        while after is not None:
            page = request("GET", "/history", query=query | ({"after": after} if after else {})).json
            assert len(page["items"]) == per_page or page["next"] is None
            found, after = [*found, *page["items"]], page["next"]
        times = [time_of(entry, "changed_at") for entry in found]
        assert times == sorted(times, reverse=True)
        expected = [
            entry
            | {
                "bundle_id": bundle_id,
                "bundle_name": self._name_at(bundle, entry["version"]),
                "exists": not bundle.deleted,
            }
            for bundle_id, bundle in self.known.items()
            for entry in bundle.history
            if changed_by in {None, entry["changed_by"]} and (actions is None or entry["action"] in actions)
        ]
        for entry in found:
            del entry["changed_at"]
        assert sorted(found, key=self._which) == sorted(expected, key=self._which)

    @staticmethod
    def _which(entry: Mapping[str, Any]) -> tuple[str, int]:
        return entry["bundle_id"], entry["version"]

    @staticmethod
    def _name_at(bundle: Stored, version: int) -> str:
        # A deletion has the name of before it.
        state = bundle.states.get(version) or bundle.states[version - 1]
        return str(state["name"])

    @rule()
    def a_day_passes(self) -> None:
        with self.administrator.begin() as connection:
            connection.execute(
                text("UPDATE token_bundle_idempotency_key SET created_at = created_at - interval '24:00:01'")
            )
        self.remembered.clear()

    @invariant()
    def nothing_else_has_changed(self) -> None:
        answer = request("GET", query={"per_page": "100", "sort": "created_at"})
        assert {shown["id"]: shown for shown in answer.json["items"]} == {
            shown["id"]: shown for shown in self._shown_bundles()
        }

    def _shown_bundles(self) -> Sequence[dict[str, Any]]:
        return [bundle.shown for bundle in self.known.values() if not bundle.deleted]

    @staticmethod
    def _sortable(shown: Mapping[str, Any], name: str) -> Any:
        match name:
            case "price":
                return Decimal(shown["price"])
            case "code":
                return shown["code"] or ""
            case "created_at" | "updated_at":
                return time_of(shown, name)
            case _:
                return shown[name]


@pytest.fixture
def administrator(create_database: CreateDatabase, migrated_database: str) -> Iterator[Engine]:
    """Have the functions commit to a database of this test's own, and return an engine for it."""
    url = create_database(copy_of=migrated_database)
    with use_settings(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        database_connection.CONNECTION.close()
        engine = make_engine(url, Timeouts())
        yield engine
        engine.dispose()
        database_connection.CONNECTION.close()


def test_the_api_does_what_the_contract_says(administrator: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Catalogue, "administrator", administrator, raising=False)
    run_state_machine_as_test(
        Catalogue,
        settings=settings(
            max_examples=RUNS,
            stateful_step_count=STEPS,
            derandomize=True,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
