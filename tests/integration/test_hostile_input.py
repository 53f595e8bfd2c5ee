"""Requests that mean harm, or come from a broken client: none breaks the API or learns how it is made."""

# ruff: noqa: E501, RUF001 - the table is easier to read with a line a kind, and letters that look alike belong in it

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.client import BUNDLES, READ, REQUEST_ID, TEMPLATE, WRITE, Answer, event, invoke, request
from tests.conftest import CreateDatabase
from tests.integration.conftest import functions_with

SECONDS = 2
VALID = {"name": "Starter", "token_amount": 1000, "price": "9.90"}
JSON = {"content-type": "application/json"}
NO_ID = "00000000-0000-4000-8000-000000000000"
ROUTES = {
    (route.method, route.path.removeprefix(BUNDLES).replace("bundle_id", "id")): route
    for route in TEMPLATE.routes
}
# What no sentence for a person may have in it.
INNARDS = re.compile(
    r"""
    Traceback | File\ \\?" | \bline\ \d+ | <class | \bobject\ at\ 0x | \.py\b
    | \b\w*(Error|Exception)\b | NoneType | \bDecimal\b | \bUUID\( | datetime | \b(str|int|bool|dict|tuple|float|bytes)\b
    | pydantic | sqlalchemy | pg8000 | powertools | psycopg | postgres
    | \b(SELECT|INSERT|UPDATE|DELETE|FROM|WHERE|RETURNING)\b | token_bundle\b | SQLSTATE | syntax\ error
    | Input\ should | validation\ error | value_error | \bbtrim\b | constraint
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Case:
    """A request, and the status that it must be answered with; `{id}` is that of a bundle that exists."""

    name: str
    status: int
    method: str = "POST"
    route: str = ""
    id: str = "{id}"
    body: str | None = None
    base64: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    authorizer: Any = field(
        default_factory=lambda: {"jwt": {"claims": {"sub": "a", "scope": f"{READ} {WRITE}"}}}
    )

    def send(self, existing_id: str) -> Answer:
        bundle_id = self.id.replace("{id}", existing_id)
        sent = event(
            self.method,
            BUNDLES + self.route.replace("{id}", bundle_id),
            # Of some paths the gateway would find another: they must do no harm all the same.
            route=ROUTES[self.method, self.route],
            variables={"bundle_id": bundle_id} if "{id}" in self.route else {},
            body=self.body,
            base64=self.base64,
            query=self.query,
            headers=self.headers,
        )
        sent["requestContext"]["authorizer"] = self.authorizer
        return invoke(sent)


def bodies() -> Iterator[Case]:
    valid = json.dumps(VALID)
    wide = "{" + ",".join(f'"{number}":0' for number in range(6000)) + "}"
    hostile = {
        "nothing": (None, 400),
        "a blank": (" ", 400),
        "NUL": ("\0", 400),
        "half an object": ('{"name": "a"', 400),
        "a comma too many": ('{"name": "a",}', 400),
        "two objects": (f"{valid}{valid}", 400),
        "JSON lines": (f"{valid}\n{valid}\n", 400),
        "a comment": (f"/* */ {valid}", 400),
        "single quotes": ("{'name': 'a'}", 400),
        "a form": ("name=a&price=1", 400),
        "XML": ('<!DOCTYPE a [<!ENTITY b SYSTEM "file:///etc/passwd">]><a>&b;</a>', 400),
        "YAML": ("name: !!python/object/apply:os.system [id]", 400),
        "a pickle": ("cos\nsystem\n(S'id'\ntR.", 400),
        "a list": ("[]", 400),
        "a list of bundles": (f"[{valid}]", 400),
        "null": ("null", 400),
        "true": ("true", 400),
        "a text": (json.dumps(valid), 400),
        "a number": ("1e5", 400),
        "a number beyond floats": ("1e400", 400),
        "a number without end": ("9" * 60_000, 400),
        "NaN": ('{"price": NaN}', 400),
        "Infinity": ('{"price": -Infinity}', 400),
        "lists in lists": ("[" * 60_000, 400),
        "lists in lists, closed": ("[" * 30_000 + "]" * 30_000, 400),
        "objects in objects": ('{"a":' * 10_000, 400),
        "a field of lists in lists": (f'{{"name": {"[" * 20_000}{"]" * 20_000}}}', 400),
        "a field of some lists in lists": (f'{{"name": {"[" * 500}{"]" * 500}}}', 400),
        "six thousand unknown fields": (wide, 400),
        "ten thousand unknown fields": (json.dumps(dict.fromkeys(map(str, range(10_000)))), 413),
        "an endless field name": (json.dumps({"n" * 60_000: 1}), 400),
        "two BOMs": (f"\ufeff\ufeff{valid}", 400),
        "a BOM alone": ("\ufeff", 400),
        "a BOM at the end": (f"{valid}\ufeff", 400),
        "six thousand names twice": ("{" + ",".join(f'"{number}":0,"{number}":0' for number in range(3000)) + "}", 400),
        "one name six thousand times": ("{" + ",".join(['"name":0'] * 6000) + "}", 400),
        "names twice in objects in objects": ('{"a":0,"a":' * 400 + "0" + "}" * 400, 400),
        "names twice in lists in lists": ("{" + f'"a":{"[" * 400}{{"b":0,"b":0}}{"]" * 400}' + "}", 400),
        "a lone surrogate": ("\ud800", 400),
        "a lone surrogate in a text": ('{"name": "\ud800"}', 400),
        "a control character in a text": ('{"name": "a\nb"}', 400),
        "a wrong escape": (r'{"name": "\x41"}', 400),
        "65 KiB": (f"{valid}{' ' * 65_536}", 413),
        "a MiB": ("x" * 2**20, 413),
    }  # fmt: skip
    encoded = {
        "invalid base64": ("!!!!", 400),
        "half of base64": ("eyJuYW1lI", 400),
        "base64 that is not ASCII": ("ü", 400),
        "base64 with line ends": ("eyJu\r\nYW1l", 400),
        "no UTF-8": (base64.b64encode(b'{"name": "\xff\xfe"}').decode(), 400),
        "an overlong encoding": (base64.b64encode(b'{"name": "\xc0\xaf"}').decode(), 400),
        "a surrogate in UTF-8": (base64.b64encode(b'{"name": "\xed\xa0\x80"}').decode(), 400),
        "UTF-8 with two BOMs": (base64.b64encode(("\ufeff" + valid).encode("utf-8-sig")).decode(), 400),
        "UTF-16": (base64.b64encode(valid.encode("utf-16")).decode(), 400),
        "UTF-16 without a BOM": (base64.b64encode(valid.encode("utf-16-le")).decode(), 400),
        "UTF-32": (base64.b64encode(valid.encode("utf-32")).decode(), 400),
        "UTF-7": (base64.b64encode(b"+AHs-+AH0-").decode(), 400),
        "gzip": (base64.b64encode(b"\x1f\x8b\x08\x00\x00").decode(), 400),
        "base64 of 65 KiB": (base64.b64encode(b" " * 65_537).decode(), 413),
    }
    for method, route in (("POST", ""), ("PATCH", "/{id}")):
        for name, (body, status) in hostile.items():
            yield Case(name, status, method, route, body=body, headers=JSON)
        for name, (body, status) in encoded.items():
            yield Case(name, status, method, route, body=body, base64=True, headers=JSON)
    for name in ("lists in lists", "a lone surrogate", "a MiB"):
        yield Case(f"{name}, ignored", 200, "POST", "/{id}/activate", body=hostile[name][0])
    yield Case("invalid base64, ignored", 200, "POST", "/{id}/activate", body="!", base64=True)


def fields() -> Iterator[Case]:
    wrong: dict[str, list[str]] = {
        "name": [
            "null", "true", "0", "{}", "[]", '["a"]', '{"$ne": null}', '{"toString": 1}', '"\\u0000"', '"a\\u0000b"',
            '"\\ud800"', '"\\udfff\\ud800"', '"a\\ud83d"', '"\\u00a0\\u2003\\t"', json.dumps("n" * 60_000),
            json.dumps("\u0301" * 256), "1e99999999999999999999", "-" + "9" * 50_000,
        ],
        "description": ["1", "[]", "false", '"\\u0000"', '"\\udc00"', json.dumps("d" * 2001), json.dumps("👩‍👩‍👧‍👦" * 400)],
        "token_amount": [
            "null", '"1"', "true", "1.0", "1e2", "0", "-1", "2147483648", "9223372036854775808", "9" * 5000,
            "1e999999999", "1e-999999999", "1e99999999999999999999", "-0", "[1]", "{}",
        ],
        "price": [
            "null", "true", "[]", "{}", "-1", "-1e-400", "1e400", "1e999999", "1e999999999999999999", "1e-1000000",
            "0.001", "9.90000000000000000000", "9" * 5000, "1." + "0" * 5000, '""', '" "', '"NaN"', '"sNaN"', '"-Infinity"',
            '"1_0"', '"1,0"', '"0x1"', '"1e5 "', '"١٢"', '"１"', '"1\\n"', '"\\u0000"', '"\\ud800"', '"1e"', '"--1"', '"+1"',
            json.dumps("1" * 60_000), json.dumps("1" * 60_000 + "x"), json.dumps("0." + "1" * 60_000), json.dumps("1e" + "9" * 60_000),
            json.dumps("1; DROP TABLE token_bundle"), '"1e-2147483649"',
        ],
        "code": [
            "0", "true", "[]", "{}", '"A"', '"a b"', '"a\\n"', '"\\u0000"', '"\\ud800"', '"-"', '".."', '"../a"', '"é"', '"ａ"', '"a\\u200b"',
            json.dumps("a" * 65), json.dumps("a" * 60_000), json.dumps("a" + "-" * 60_000), '"a\' OR 1=1"', '"{0}"', "9" * 5000,
        ],
        "metadata": [
            "0", "true", "[]", '"{}"', '{"a": 1}', '{"a": null}', '{"a": ["b"]}', '{"a": {"b": "c"}}', '{"": ""}', '{"a b": ""}', '{"$ne": ""}',
            '{"a": "\\u0000"}', '{"\\u0000": ""}', '{"a": "\\ud800"}', '{"\\ud800": ""}', '{"é": ""}', '{"__proto__": {}}', '{"a": "b", "a": "c"}',
            json.dumps({"a" * 41: ""}), json.dumps({"a" * 60_000: ""}), json.dumps({"a": "b" * 201}), json.dumps({"a": "b" * 60_000}),
            json.dumps({str(number): "" for number in range(21)}), json.dumps({str(number): "" for number in range(5000)}),
            json.dumps({f"{{{number}}}": 1 for number in range(3000)}), '{"a":' * 400 + '""' + "}" * 400,
        ],
        "is_active": ["null", "0", "1", '"true"', '"on"', "[]", "{}", "1e400"],
        "sort_order": ['" "', '"0"', "1.5", "true", "2147483648", "-2147483649", "-1e999999999", "9" * 5000, "[]", "{}"],
    }  # fmt: skip
    unknown = [
        "id", "version", "currency", "created_at", "__proto__", "constructor", "__class__", "__init__", "__dict__",
        "model_config", "model_fields", "if_match", "if-match", "caller", "path", "header", "body", "query", "values", "self", "", " ", "NAME", "name ", "na\u0000me", "\ud800", "\u202ename",
        "n\u0430me", "😀", "name[]", "$where", "a.b", "/name", "~1", "{0.__class__}", "%s", "{detail}", "${7*7}", "{{7*7}}",
        "'; --", "<script>alert(1)</script>", "\r\nX: y",
    ]  # fmt: skip
    for name, values in wrong.items():
        for value in values:
            body = f'{{"{name}": {value}}}'
            yield Case(f"{name} {value[:30]}", 400, "PATCH", "/{id}", body=body, headers=JSON)
    for name in unknown:
        body = json.dumps(VALID | {name: {"a": 1}})
        yield Case(f"field {name[:30]}", 400, body=body, headers=JSON)


def texts() -> Iterator[Case]:
    harmless = [
        "'; DROP TABLE token_bundle; --", "' OR '1'='1", "$$;SELECT pg_sleep(10)$$", "%s %(a)s :a ? $1", "\\", "\\'", "{}", "{0}",
        "{{7*7}}", "${jndi:ldap://127.0.0.1/a}", "<script>alert(1)</script>", "../../etc/passwd", "=cmd|' /C calc'!A0",
        "\u202e\u05d0\u0628", "Z\u0351\u036b\u0343\u036a", "\ufffe", "\uffff", "👩‍👩‍👧‍👦", "\U0010ffff",
        "a\nb", "\x01\x1b[31m", "ﷺ" * 255, "ı\u0130ß",
    ]  # fmt: skip
    for text in harmless:
        body = json.dumps(VALID | {"name": text, "description": text})
        yield Case(f"text {text[:20]}", 201, body=body, headers=JSON)
        yield Case(f"search for {text[:20]}", 200, "GET", query={"q": text})
    for price in [
        "0e999999",
        "0e-2",
        "0E+400",
        "-0",
        "-0.00",
        '"0e9999999999"',
        '"-0e5000"',
        f'"{"0" * 60_000}"',
    ]:
        body = f'{{"name": "n", "token_amount": 1, "price": {price}}}'
        yield Case(f"price {price[:30]}", 201, body=body, headers=JSON)
    twice = '{"name": "a", "name": "Starter", "token_amount": 1, "token_amount": 2, "price": "x", "price": 1}'
    yield Case("a field twice", 400, body=twice, headers=JSON)
    yield Case("a BOM", 201, body="\ufeff" + json.dumps(VALID), headers=JSON)
    with_bom = base64.b64encode(json.dumps(VALID).encode("utf-8-sig")).decode()
    yield Case("UTF-8 with a BOM", 201, body=with_bom, base64=True, headers=JSON)


def ids() -> Iterator[Case]:
    hostile = [
        "..", ".", "*", "%", "%2e%2e%2f", "..%2f..%2fetc%2fpasswd", "%c0%ae%c0%ae", "%00", "\0", "a/b", "a%2Fb", "//", "null", "0", "-1",
        "' OR 1=1 --", "1;SELECT pg_sleep(9)", "${id}", "{{7*7}}", "<id>", "\ud800", "\u202e", "😀", "\r\nX: y", "a?b=c", "a#b", "a b", "+",
        "9" * 10_000, "a" * 10_000, "00000000-0000-0000-0000-00000000000g", "00000000-0000-0000-0000-0000000000000", "{id}{id}",
        "{id}/", "{id}\n", "{id}\0", " {id}", "{id}%20", "{id}/activate", "{id};a=b", "00000000-0000-0000-0000-000000000000",
    ]  # fmt: skip
    for hostile_id in hostile:
        yield Case(f"id {hostile_id[:30]}", 404, "GET", "/{id}", hostile_id)
        yield Case(f"delete id {hostile_id[:30]}", 404, "DELETE", "/{id}", hostile_id)
        yield Case(f"history of id {hostile_id[:30]}", 404, "GET", "/{id}/history", hostile_id)
        yield Case(f"activate id {hostile_id[:30]}", 404, "POST", "/{id}/activate", hostile_id)


def parameters() -> Iterator[Case]:
    many = ",".join(["name", "-price"] * 700)
    hostile: dict[str, list[str]] = {
        "page": ["", "0", "-1", "1.0", "+1", "1_0", "1e3", "0x1", " 1", "1\n", "１", "1,2", "NaN", "\0", "\ud800", "9" * 19, "9" * 9000, "{}", "true"],
        "per_page": ["", "0", "-1", "1.5", "+5", "5 ", "9" * 20, "9" * 9000, "1;2", "' OR 1=1"],
        "include_inactive": ["", "1", "yes", " true", "true,true", "nope", "\0", "\ud800", "t" * 9000],
        "sort": ["", ",", "name,", ",name", "id", "-id", "--name", "-", "name desc", "name, price", "1", "(SELECT 1)", "name;--", "\0", "\ud800", "Name", many, f"{many},x", "name,name", "name,-name", ",".join(["sort_order,name,price"] * 2)],
        "q": ["\0", "a\0b", "\ud800", "\udfff"],
    }  # fmt: skip
    hostile |= {
        "is_active": ["", "1", "yes", "\0", "\ud800", "true,false"],
        "id": ["", "x", ",", NO_ID + ",", f"{NO_ID},x", "\0", "\ud800", "{}", "' OR 1=1", ",".join([NO_ID] * 101), "," * 9000, f"{NO_ID}" * 250],
        "code": ["\0", "\ud800", ",".join(["a"] * 101), "," * 9000],
    }  # fmt: skip
    for name, values in hostile.items():
        for value in values:
            yield Case(f"{name}={value[:20]}", 400, "GET", query={name: value})
    for code in ("", "{", '"', "\\", 'a"},{"b', "NULL", "a'; --", "é", "a" * 9000, "a,,b", "$1"):
        yield Case(f"code={code[:20]}", 200, "GET", query={"code": code})
    for name in ("page", "per_page"):
        for value in hostile[name]:
            yield Case(f"history {name}={value[:20]}", 400, "GET", "/{id}/history", query={name: value})
    for query in (
        {"page[]": "0"}, {"page[$gt]": ""}, {"PAGE": "0"}, {"__proto__": "x"}, {"": ""}, {"\0": "\0"}, {"\ud800": "\ud800"},
        {"p" * 9000: "x"}, {str(number): "x" for number in range(2000)}, {"sort": "-name,price"}, {"q": "%" * 9000}, {"q": "\\" * 9000},
        {"q": "a%_\\'\""}, {"q": "a,b,,"}, {"page": "9223372036854775807", "per_page": "9223372036854775807"}, {"page": "0" * 4000 + "1"},
    ):  # fmt: skip
        yield Case(f"query {str(query)[:30]}", 200, "GET", query=query)


def feeds() -> Iterator[Case]:
    times = ["", "now", "0", "1e9", "2026", "2026-13-01T00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+99:99", "infinity", "epoch",
             "2026-01-01T00:00:00Z; --", "\0", "\ud800", "２026-01-01T00:00:00Z", "9" * 9000, "2026-W01-1T00:00:00Z", "-2026-01-01T00:00:00Z"]  # fmt: skip
    for value in times:
        yield Case(f"since={value[:20]}", 400, "GET", "/history", query={"since": value})
        yield Case(f"until={value[:20]}", 400, "GET", "/history", query={"until": value})
    for value in (
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59.999999-23:59",
        "2026-01-01T00:00:00.000000000000001Z",
    ):
        yield Case(f"since={value}", 200, "GET", "/history", query={"since": value, "until": value})
    start = f"2026-01-01T00:00:00Z~{NO_ID}~"
    for value in ["", "~", "~~", "null", "\0", "\ud800", start, f"{start}x", f"{start}1.5", f"{start}1~1", f"{start}{'9' * 9000}", start + "\0", "~" * 9000, f"x~{NO_ID}~1", "2026-01-01T00:00:00Z~' OR 1=1~1"]:  # fmt: skip
        yield Case(f"after={value[:50]}", 400, "GET", "/history", query={"after": value})
    for name, values in {"action": ["", "x", "created,", "CREATED", "\0", "created'; --", "," * 9000], "changed_by": ["\0", "\ud800"], "per_page": ["0", "x", "9" * 40]}.items():  # fmt: skip
        for value in values:
            yield Case(f"feed {name}={value[:20]}", 400, "GET", "/history", query={name: value})
    for value in ("' OR 1=1 --", "%", "\u202e", "a" * 9000, "{0}", "NULL"):
        yield Case(f"feed changed_by={value[:20]}", 200, "GET", "/history", query={"changed_by": value})


def parameters_of_changes() -> Iterator[Case]:
    rename = json.dumps({"name": "Renamed"})
    for name, values in {
        "reason": ["\0", "a\0", "\ud800", "a\nb", "a\x1bb", "a\x7f", "a\x85b", "a" * 201, "a" * 9000],
        "validate_only": ["", "1", "yes", "true ", "truе", "true,true", "\0", "\ud800", "t" * 9000],
        "validateonly": ["true"], "Validate_only": ["true"], "validate_only ": ["true"], "validate_only[]": ["true"], "": ["true"], "\0": ["\0"],
        "\ud800": ["\ud800"], "p" * 9000: ["x"], "caller": ["x"], "model_config": ["x"], "{0.__class__}": ["x"],
    }.items():  # fmt: skip
        for value in values:
            yield Case(
                f"write {name[:20]}={value[:20]}",
                400,
                "PATCH",
                "/{id}",
                body=rename,
                headers=JSON,
                query={name: value},
            )
            yield Case(f"delete {name[:20]}={value[:20]}", 400, "DELETE", "/{id}", query={name: value})


def batches() -> Iterator[Case]:
    one = f'{{"id": "{NO_ID}", "price": 1}}'
    for body, status in [
        ("[]", 400), ("{}", 400), ('{"bundles": null}', 400), ('{"bundles": []}', 400), ('{"bundles": {}}', 400), ('{"bundles": "x"}', 400),
        ('{"bundles": [null]}', 400), ('{"bundles": [[]]}', 400), ('{"bundles": [{}]}', 400), (f'{{"bundles": [{one}], "x": 1}}', 400),
        (f'{{"bundles": [{one}, {one}]}}', 400), (f'{{"bundles": [{one}], "bundles": [{one}]}}', 400), (f'{{"bundles": [{one}]}}', 409),
        ('{"bundles": [{"id": "\\u0000", "price": 1}]}', 400), ('{"bundles": [{"id": "\\ud800", "price": 1}]}', 400),
        ('{"bundles": [{"id": 1, "price": 1}]}', 400), (f'{{"bundles": [{{"id": "{NO_ID}"}}]}}', 400),
        (f'{{"bundles": [{{"id": "{NO_ID}", "price": 1, "price": 2}}]}}', 400), (f'{{"bundles": [{{"id": "{NO_ID}", "\\ud800": 2}}]}}', 400),
        ('{"bundles": [' + ",".join(["{}"] * 10_000) + "]}", 400), ('{"bundles": ' + "[" * 60_000 + "]" * 60_000 + "}", 400),
        ('{"bundles": [' + ",".join(['{"x":0,"x":0}'] * 9000) + "]}", 400), ('{"bundles": [{"' + "x" * 900_000 + '": 1}]}', 400),
        (" " * (1024 * 1024 + 1), 413), ("{" * 1024 * 1024, 400),
    ]:  # fmt: skip
        yield Case(f"many {body[:50]} ({len(body)})", status, "PATCH", body=body, headers=JSON)
    for version in [
        "null",
        "true",
        '"1"',
        "0",
        "-1",
        "1.5",
        "1e400",
        "9" * 5000,
        "9223372036854775808",
        "[1]",
        "{}",
        '"\\u0000"',
    ]:
        yield Case(
            f"restore {version[:20]}",
            400,
            "POST",
            "/{id}/restore",
            body=f'{{"version": {version}}}',
            headers=JSON,
        )
    for version in ["2", "2147483648", "9223372036854775807"]:
        yield Case(
            f"restore {version}", 400, "POST", "/{id}/restore", body=f'{{"version": {version}}}', headers=JSON
        )


def headers() -> Iterator[Case]:
    rename = json.dumps({"name": "Renamed"})
    no_tags = [
        "", " ", ",", ",,,", "1", "'1'", '"1', '1"', '""1""', 'w/"1"', 'W /"1"', '"1" "1"', '*,"1"', "**", "* *", '"\0"', '"\x7f"', '"a b"',
        '"1"\r\nX: y', "\ud800", "😀", '"' * 9001, '"1",' * 2500 + "x", " ," * 5000, '"1"' + " " * 9000 + "x", '"1"' + ",\t" * 4500 + "x",
        'W/' * 5000, '"' + "," * 9000, '"1"' + ' , "' * 2250,
    ]  # fmt: skip
    other_tags = [
        '"x"', 'W/"1"', '""', '"*"', '"ü"', '"01"', '"1 "'.replace(" ", "\\"), '"-1"', '"1.0"', '"1e0"', '"99999999999999999999"',
        f'"{"9" * 9000}"', ",".join(f'"{number}"' for number in range(2, 2000)), '"1,"', "\"';DROP/**/TABLE/**/token_bundle;--\"",
        '"\uff11"', '"١"',
    ]  # fmt: skip
    for tags, status in [*((tags, 400) for tags in no_tags), *((tags, 412) for tags in other_tags)]:
        name = f"If-Match {tags[:20]} ({len(tags)})"
        sent = {"if-match": tags}
        yield Case(name, status, "PATCH", "/{id}", body=rename, headers=JSON | sent)
        yield Case(f"delete {name}", status, "DELETE", "/{id}", headers=sent)
        yield Case(f"get {name}", status, "GET", "/{id}", headers=sent)
        if status == 400:
            yield Case(
                f"If-None-Match of a write {name}", 400, "DELETE", "/{id}", headers={"if-none-match": tags}
            )
        current = 304 if tags == 'W/"1"' else 200
        yield Case(f"If-None-Match {name}", current, "GET", "/{id}", headers={"if-none-match": tags})
    for key in [
        "", " ", "a b", "a\tb", "a\r\nX: y", "a\n", "\0", "\x7f", "ü", "\u202e", "😀", "\ud800", "k" * 256, "k" * 9000, "１",
    ]:  # fmt: skip
        sent = {"idempotency-key": key}
        yield Case(f"Idempotency-Key {key[:20]}", 400, body=json.dumps(VALID), headers=JSON | sent)
    for key in ["';DROP/**/TABLE/**/token_bundle;--", "*", "null", "a,a", "{{7*7}}", "%00", "\\", "k" * 255]:
        sent = {"idempotency-key": key}
        yield Case(f"Idempotency-Key {key[:20]}", 201, body=json.dumps(VALID), headers=JSON | sent)
    for media_type in [
        "", " ", ";", "/", "json", "application", "application/", "application/*", "*/*", "text/plain", "application/json,application/json",
        "application/json-patch+json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=a", "application/xml",
        "application/json; charset=utf-16", "application/json; charset=utf-7", "application/json; charset=utf-8-sig",
        "application/json; charset=unicode_escape", "application/json; charset=zlib", "application/json; charset=../../etc/passwd",
        "application/json; charset=\0", "application/json; charset=\ud800", "application/json; charset=ü", "application/json; charset=" + "a" * 9000,
        "application/json; charset*=x'y'%ff", "application/json; charset*0=latin; charset*1=1", "application/json\0", "\ud800", "😀",
        "application/json; charset=utf-16; charset=utf-8",
    ]:  # fmt: skip
        body = json.dumps(VALID)
        yield Case(f"Content-Type {media_type[:40]}", 415, body=body, headers={"content-type": media_type})
    for media_type in ["application/json" + ";" * 9000, "application/json; " + "a=b;" * 2200, "application/json; a=" + '"' * 9000]:  # fmt: skip
        body = json.dumps(VALID)
        yield Case(f"Content-Type of {len(media_type)}", 201, body=body, headers={"content-type": media_type})
    encodings = [
        "gzip",
        "GZIP, identity",
        "deflate",
        "br",
        "\0",
        "\ud800",
        "\r\nX: y",
        "identity\0",
        "x" * 9000,
        "," * 9000,
        "ü",
        "😀",
        "*",
        "{0}",
    ]
    for encoding in encodings:
        sent = JSON | {"content-encoding": encoding}
        yield Case(f"Content-Encoding {encoding[:20]}", 415, body=json.dumps(VALID), headers=sent)
        yield Case(f"Content-Encoding {encoding[:20]} of nothing", 400, headers=sent)
    for name in ["x-http-method-override", "x-forwarded-for", "host", "cookie", "\ud800", "accept", "range"]:
        yield Case(f"header {name}", 200, "GET", "/{id}", headers={name: "DELETE\r\n\0\ud800"})


def callers() -> Iterator[Case]:
    def case(name: str, status: int, authorizer: Any, method: str = "GET", **parts: Any) -> Case:
        return Case(f"{method} by {name}", status, method, authorizer=authorizer, **parts)

    nobody: dict[str, Any] = {
        "nobody": None,
        "an empty authorizer": {},
        "a text": "x",
        "a text for a token": {"jwt": "x"},
        "a null token": {"jwt": None},
        "an empty token": {"jwt": {}},
        "null claims": {"jwt": {"claims": None}},
        "no claims": {"jwt": {"claims": {}}},
        "a list of claims": {"jwt": {"claims": []}},
        "a text of claims": {"jwt": {"claims": "scope"}},
        "a list of some claims": {"jwt": {"claims": ["scope"]}},
        "a Lambda authorizer": {"lambda": {"scope": READ}},
        "IAM": {"iam": {"userId": "a"}},
        "claims in the wrong place": {"claims": {"scope": READ}},
    }
    for name, authorizer in nobody.items():
        yield case(name, 401, authorizer)
        yield case(name, 401, authorizer, "POST", body="{", headers={"content-type": "text/plain"})
    scopes: list[Any] = [
        None, "", " ", "[]", "[ ]", 0, 1, 1.5, True, False, [], [None], [[READ]], [1], {}, {READ: True}, "token-bundles", "token-bundles:",
        "token-bundles:*", "*", READ.upper(), f"{READ}x", f"x{READ}", f"{READ},{WRITE}", f"{READ};", f'"{READ}"', READ[:-1], "a" * 100_000,
        "a " * 50_000, "token-bundles:read\0", "token-bundles\u2024read", "\ud800", "tоken-bundles:read",
    ]  # fmt: skip
    for scope in scopes:
        for claim in ("scope", "scp"):
            name = f"{claim} {str(scope)[:30]!r}"
            yield case(name, 403, {"jwt": {"claims": {"sub": "a", claim: scope}, "scopes": [READ, WRITE]}})
    yield case("a reader", 403, {"jwt": {"claims": {"scope": READ}}}, "POST", body="{")
    named = [None, "", "a" * 510, "\U0010ffff" * 510, "'; DROP TABLE token_bundle; --", "ü😀\u202e"]
    unnamable: list[Any] = [5, True, ["a"], {"a": 1}, "\0", "a\0b", "\ud800", "a" * 511, "a" * 9000]
    for number, subject in enumerate([*named, *unnamable]):
        for claim in ("sub", "client_id"):
            authorizer = {"jwt": {"claims": {claim: subject, "scope": WRITE}}}
            for key in ({}, {"idempotency-key": f"{claim}-{number}"}):
                status = 401 if number >= len(named) else 400 if key and not subject else 201
                yield case(
                    f"{claim} {str(subject)[:20]!r} {'with' if key else 'without'} a key", status, authorizer, "POST",
                    body=json.dumps(VALID), headers=JSON | key,
                )  # fmt: skip


CASES = [
    *bodies(),
    *fields(),
    *texts(),
    *ids(),
    *parameters(),
    *feeds(),
    *parameters_of_changes(),
    *batches(),
    *headers(),
    *callers(),
]


@pytest.fixture(scope="module")
def existing(create_database: CreateDatabase, migrated_database: str) -> Iterator[dict[str, Any]]:
    """A bundle in a database of this module's own, which the functions reach through their own engine."""
    with functions_with(DATABASE_URL=create_database(copy_of=migrated_database), DEFAULT_CURRENCY="EUR"):
        yield request("POST", json_body=VALID).bundle


@pytest.mark.parametrize("case", CASES, ids=lambda case: ascii(case.name))
def test_hostile(case: Case, existing: dict[str, Any]) -> None:
    before = request("GET", query={"per_page": "100"}).json
    started = time.monotonic()
    answer = case.send(existing["id"])
    assert time.monotonic() - started < SECONDS

    assert answer.status == case.status, answer.text[:1000]
    answer.text.encode()
    if answer.status >= 400:
        assert_problem(answer)
    if answer.status == 201:
        assert request("DELETE", f"/{answer.bundle['id']}").status == 200
    assert request("GET", query={"per_page": "100"}).json == before


def assert_problem(answer: Answer) -> None:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json
    assert {"type", "title", "status", "detail", "error", "request_id"} == problem.keys() - {"errors"}
    assert (problem["type"], problem["status"]) == ("about:blank", answer.status)
    assert problem["error"] == problem["detail"] != ""
    assert problem["request_id"] == REQUEST_ID
    # All but `code`, which is for programs and has words like `int_type`.
    details = [error["detail"] for error in problem.get("errors", [])]
    for sentence in {problem["title"], problem["detail"], *details, *answer.headers.values()}:
        assert not INNARDS.search(sentence), sentence[:1000]
