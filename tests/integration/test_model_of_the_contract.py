"""Random sequences of all routes, compared with a model of the contract that knows nothing of the code.

The sequences are the same in every run, so that only a change turns them red; `TEST_SIZE=full` has more.
"""

import json
import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar

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

FIELDS = ("name", "description", "token_amount", "price", "is_active", "sort_order")
DEFAULTS: dict[str, Any] = {"description": None, "is_active": True, "sort_order": 0}
SORT_KEYS = ("sort_order", "name", "price", "token_amount", "created_at", "updated_at")
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
REQUIRED = {"name": NAMES, "token_amount": TOKEN_AMOUNTS, "price": PRICES}
OPTIONAL = {"description": DESCRIPTIONS, "is_active": st.booleans().map(written), "sort_order": SORT_ORDERS}

WHOLE_BODIES = st.fixed_dictionaries(REQUIRED, optional=OPTIONAL)
PARTIAL_BODIES = st.fixed_dictionaries({}, optional=REQUIRED | OPTIONAL)
WRONG = {
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
FILTERS = st.fixed_dictionaries(
    {},
    optional={
        "include_inactive": st.sampled_from(["true", "false", "TRUE", "False"]),
        "q": st.sampled_from(["%", "_", "\\", "a", "B", "É"]) | st.text("abAB1%_\\,'éÉ ", max_size=2),
        "sort": st.lists(
            st.sampled_from([*SORT_KEYS, *(f"-{key}" for key in SORT_KEYS)]),
            min_size=1,
            max_size=3,
            unique_by=lambda key: key.removeprefix("-"),
        ),
        "colour": st.just("red"),
    },
)
WRONG_PARAMETERS = st.sampled_from(
    [
        *(("page", wrong) for wrong in ["0", "-1", "abc", "", "1.0", "9" * 20]),
        *(("per_page", wrong) for wrong in ["0", "-1", "x", "", "9" * 20]),
        *(("include_inactive", wrong) for wrong in ["maybe", "", "1"]),
        *(("sort", wrong) for wrong in ["color", "", "name,", "--name", "id", "name,-name"]),
        ("q", "\0"),
    ]
)


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

    @initialize(target=ids, bodies=st.tuples(WHOLE_BODIES, WHOLE_BODIES))
    def begin_with_two(self, bodies: tuple[dict[str, Written], ...]) -> Any:
        return multiple(*(self.create(body, CALLERS[0], "") for body in bodies))

    @initialize(target=keys, bodies=st.tuples(WHOLE_BODIES, WHOLE_BODIES))
    def begin_with_two_keys(self, bodies: tuple[dict[str, Written], ...]) -> Any:
        return multiple(*(("k", caller, body) for caller, body in zip(CALLERS, bodies, strict=True)))

    # Creating

    @rule(target=ids, body=WHOLE_BODIES, subject=st.sampled_from(CALLERS), path=st.sampled_from(["", "/"]))
    def create(self, body: dict[str, Written], subject: str, path: str) -> Any:
        answer = request("POST", path, body=in_json(body), subject=subject)
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
        for event in meanwhile:
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
        answer = request("POST", body=in_json(body), subject=subject, headers={"Idempotency-Key": key})
        fields = DEFAULTS | {name: value.stored for name, value in body.items()}
        first = self.remembered.get((subject, key))
        if first is None:
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
        if self._is_admitted(answer, bundle_id, conditions, as_read.get("version", CURRENT_VERSION)):
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
        if self._is_admitted(answer, bundle_id, UNCONDITIONAL):
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
        return request(method, f"/{bundle_id}{path}", headers=headers, subject=subject, body=body)

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
        self, answer: Answer, bundle_id: str, conditions: Conditions, version: str = CURRENT_VERSION
    ) -> bool:
        """Tell whether the request may change something, and check the answer when it may not."""
        if_match, if_none_match = conditions
        if garbage := self._garbage(conditions):
            assert_wrong(answer, headers=garbage)
        elif not self._exists(bundle_id):
            assert_problem(answer, 404)
        elif if_match is not None and not ENTITY_TAGS[if_match][0]:
            detail = assert_problem(answer, 412)["detail"]
            assert ("weakened" in detail) == ("W/" in if_match) or if_none_match == "*"
        elif if_none_match is not None and ENTITY_TAGS[if_none_match][1]:
            assert_problem(answer, 412)
        elif version != CURRENT_VERSION:
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
        bundle, shown = self.known[bundle_id], answer.bundle
        before = bundle.shown
        if before | fields != before:
            assert time_of(shown, "updated_at") > time_of(before, "updated_at")
            bundle.shown = before | fields
            bundle.shown |= {"version": before["version"] + 1, "updated_at": shown["updated_at"]}
            self._record(bundle, action, before, bundle.shown, subject)
        assert shown == bundle.shown
        assert answer.headers["etag"] == bundle.tag

    def _record(
        self, bundle: Stored, action: str, before: dict[str, Any], after: dict[str, Any], subject: str
    ) -> None:
        changes = {
            name: {"from": before.get(name), "to": after.get(name)}
            for name in FIELDS
            if before.get(name) != after.get(name)
        }
        bundle.history.insert(
            0,
            {
                "version": bundle.shown["version"],
                "action": action,
                "changes": changes,
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
        query = filters | {name: str(number) for name, number in pages.items()}
        answer = request("GET", path, query=query | ({"sort": ",".join(sort)} if "sort" in filters else {}))
        found = [
            shown
            for shown in self._shown_bundles()
            if filters.get("q", "").strip().lower() in shown["name"].lower()
            and (shown["is_active"] or filters.get("include_inactive", "true").lower() == "true")
        ]
        found.sort(key=lambda shown: shown["id"])
        for key in reversed(sort):
            name = key.removeprefix("-")
            found.sort(key=lambda shown: self._sortable(shown, name), reverse=key != name)
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
        query = f"{name}=1&per_page=1&{name}=2"
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
        assert_problem(request(method, f"/{bundle_id}{path}", json_body={}, headers=headers), 404)

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
