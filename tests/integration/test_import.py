"""`POST /token-bundles/import`: bundles created and changed by a file, all or none."""

import base64
import csv
import io
import json
import logging
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, text

from shared.token_bundles.repository import BUNDLES as BUNDLES_TABLE
from tests.client import BUNDLES, READ, WRITE, Answer, event, invoke, request
from tests.conftest import use_settings
from tests.integration.test_export import create, export

pytestmark = pytest.mark.usefixtures("connection")

CSV = {"content-type": "text/csv"}
NEW = {"code": "new", "name": "New", "token_amount": 5, "price": "1.50"}
NO_ID = "00000000-0000-4000-8000-000000000000"
UNSTORED = {"version", "created_at", "updated_at"}


def upload(content: str, media_type: str = "text/csv", **query: str) -> Answer:
    return request("POST", "/import", body=content, query=query, headers={"content-type": media_type})


def upload_bytes(content: bytes, media_type: str = "application/octet-stream") -> Answer:
    """Upload as API Gateway passes on what it does not take for text."""
    body = base64.b64encode(content).decode()
    claims = {"sub": "admin-1", "scope": WRITE}
    headers = {"content-type": media_type}
    return invoke(event("POST", f"{BUNDLES}/import", body=body, base64=True, headers=headers, claims=claims))


def upload_json(*bundles: Any, **query: str) -> Answer:
    return request("POST", "/import", json_body={"bundles": bundles}, query=query)


def table(*rows: dict[str, Any], columns: list[str] | None = None, **dialect: Any) -> str:
    """Write rows as a spreadsheet does."""
    file = io.StringIO()
    writer = csv.DictWriter(file, columns or list(rows[0]), **dialect)
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue()


def counts(answer: Answer) -> tuple[int, int, int]:
    assert answer.status == 200, answer.text
    return answer.json["created"], answer.json["updated"], answer.json["unchanged"]


def wrong(answer: Answer) -> list[tuple[int, str | None, str]]:
    """The errors of a refused import, of which none is told twice."""
    assert answer.status in {400, 409}, answer.text
    assert answer.json["error_count"] >= len(answer.json["errors"])
    for error in answer.json["errors"]:
        assert set(error) - {"current_version"} == {"row", "column", "code", "detail"}
    return [(error["row"], error["column"], error["code"]) for error in answer.json["errors"]]


def listed(**query: str) -> list[dict[str, Any]]:
    return list(request("GET", query={"per_page": "100", **query}).json["items"])


class TestAccess:
    def test_nobody_may(self) -> None:
        assert request("POST", "/import", json_body={"bundles": [NEW]}, scope=None).status == 401

    def test_who_may_only_read_may_not(self) -> None:
        assert request("POST", "/import", json_body={"bundles": [NEW]}, scope=READ).status == 403


class TestRows:
    def test_each_is_created_changed_or_as_it_was(self) -> None:
        first, second = create("A", code="a"), create("B", code="b")
        as_it_was = {name: second[name] for name in NEW}
        answer = upload(table({**NEW, "code": "c"}, {**NEW, "code": "a"}, as_it_was))
        created = listed(code="c")[0]
        assert created == created | NEW | {"code": "c", "version": 1, "is_active": True, "metadata": {}}
        of_new = (*NEW, "is_active", "sort_order", "metadata")
        changes = {
            "name": {"from": "A", "to": "New"},
            "token_amount": {"from": 1000, "to": 5},
            "price": {"from": "9.90", "to": "1.50"},
        }
        added = {name: {"from": None, "to": created[name]} for name in of_new}
        assert answer.json == {
            "created": 1,
            "updated": 1,
            "unchanged": 1,
            "rows": [
                {"row": 2, "action": "created", "id": created["id"], "changes": added},
                {"row": 3, "action": "updated", "id": first["id"], "changes": changes},
                {"row": 4, "action": "unchanged", "id": second["id"], "changes": {}},
            ],
        }
        assert [bundle["version"] for bundle in listed(sort="code")] == [2, 1, 1]

    def test_an_import_that_is_repeated_changes_nothing(self) -> None:
        file = table(NEW, {**NEW, "code": "other"})
        assert counts(upload(file)) == (2, 0, 0)
        assert counts(upload(file)) == (0, 0, 2)

    def test_a_row_is_known_by_its_id_before_its_code(self) -> None:
        bundle = create("A", code="a")
        assert counts(upload(table({"id": bundle["id"].upper(), "code": "z"}))) == (0, 1, 0)
        assert listed()[0] == bundle | {"code": "z"} | {name: listed()[0][name] for name in UNSTORED}

    def test_what_has_no_id_may_be_new_beside_what_has_one(self) -> None:
        bundle = create("A", code="a")
        rows = [bundle, {**NEW, "id": "", "version": "", "currency": "EUR"}]
        columns = ["id", "version", "currency", *NEW]
        assert counts(upload(table(*({c: row.get(c, "") for c in columns} for row in rows)))) == (1, 0, 1)

    def test_a_missing_column_leaves_the_field_alone(self) -> None:
        create("A", code="a", description="d", metadata={"k": "v"})
        upload(table({"code": "a", "price": "1"}))
        assert listed()[0]["description"] == "d"
        assert listed()[0]["metadata"] == {"k": "v"}

    def test_what_is_not_in_the_file_is_not_touched(self) -> None:
        bundle = create("A")
        upload(table(NEW))
        assert listed(q="A")[0] == bundle

    def test_an_empty_cell_clears_what_may_be_empty(self) -> None:
        bundle = create("A", code="a", description="d", sort_order=3, metadata={"k": "v"})
        row = {"id": bundle["id"], "code": "", "description": "", "sort_order": "", "metadata": ""}
        assert counts(upload(table(row))) == (0, 1, 0)
        cleared: dict[str, Any] = {"code": None, "description": None, "sort_order": 0, "metadata": {}}
        assert listed()[0] == bundle | cleared | {name: listed()[0][name] for name in UNSTORED}

    @pytest.mark.parametrize("column", ["name", "token_amount", "price", "is_active", "currency"])
    def test_an_empty_cell_elsewhere_is_an_error(self, column: str) -> None:
        bundle = create("A")
        answer = upload(table({"id": bundle["id"], column: ""}))
        assert [(row, name) for row, name, _ in wrong(answer)] == [(2, column)]

    @pytest.mark.parametrize("word", ["TRUE", "True", "true"])
    def test_spreadsheets_write_true_and_false_in_capitals(self, word: str) -> None:
        create("A", code="a", is_active=False)
        assert counts(upload(table({"code": "a", "is_active": word}))) == (0, 1, 0)
        assert listed()[0]["is_active"] is True

    @pytest.mark.parametrize(
        ("column", "cell"),
        [
            ("token_amount", "1.000"), ("token_amount", "1,000"), ("token_amount", "1 000"),
            ("token_amount", "1E+06"), ("token_amount", "12.0"), ("token_amount", "9" * 5000),
            ("token_amount", "\uff10"), ("token_amount", "0"), ("price", "1,50"), ("price", "1,000.00"),
            ("price", "1.234"), ("price", "1.5E+01"), ("price", "9.90 €"), ("price", "$9.90"),
            ("price", "-1"), ("price", "NaN"), ("price", "\uff11"), ("price", "1 000.00"),
            ("is_active", "WAHR"), ("is_active", "1"), ("is_active", "yes"), ("sort_order", "1.5"),
            ("metadata", "x"), ("metadata", "[]"), ("metadata", '{"a": 1}'),
            ("metadata", '{"a":"1","a":"2"}'), ("metadata", "[" * 5000), ("code", "A"),
            ("code", "1.00E+05"), ("name", " "), ("currency", "USD"), ("version", "x"), ("id", "x"),
            ("description", "x" * 2001),
        ],
    )  # fmt: skip
    def test_a_cell_is_read_rightly_or_refused(self, column: str, cell: str) -> None:
        create("A", code="a")
        row = {"code": "a", "name": "Changed", column: cell}
        answer = upload(table(row))
        assert answer.status == 400, answer.text
        (found,) = wrong(answer)
        assert found[:2] == (2, column)
        assert listed()[0]["name"] == "A"

    def test_a_number_is_read_as_it_is_written(self) -> None:
        upload(table({**NEW, "token_amount": "0012", "price": "9999999.90", "sort_order": "-3"}))
        assert listed()[0]["token_amount"] == 12
        assert listed()[0]["price"] == "9999999.90"
        assert listed()[0]["sort_order"] == -3


class TestDialects:
    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    @pytest.mark.parametrize("end", ["\r\n", "\n", "\r"])
    def test_what_spreadsheets_write(self, delimiter: str, mark: str, end: str) -> None:
        rows = [{**NEW, "description": f'"x"{delimiter}\n=y'}, {**NEW, "code": "b", "description": "'"}]
        file = mark + table(*rows, delimiter=delimiter, lineterminator=end)
        assert counts(upload(file)) == (2, 0, 0)
        assert [bundle["description"] for bundle in listed(sort="code")] == ["'", f'"x"{delimiter}\n=y']

    @pytest.mark.parametrize(
        ("currency", "cell", "price"),
        [
            ("EUR", "9,90", "9.90"), ("EUR", "9,9", "9.90"), ("EUR", "9.90", "9.90"), ("EUR", "1.000", None),
            ("EUR", "1,000", None), ("EUR", "1.234,50", None), ("EUR", "1,234.50", None),
            ("EUR", "1'000", None), ("KWD", "1.000", "1.000"), ("KWD", "1,5", "1.500"),
            ("JPY", "1000", "1000"), ("JPY", "1.000", None),
        ],
    )  # fmt: skip
    def test_a_decimal_comma_between_semicolons(
        self, connection: Connection, currency: str, cell: str, price: str | None
    ) -> None:
        connection.execute(text("UPDATE default_currency SET code = :code"), {"code": currency})
        with use_settings(DEFAULT_CURRENCY=currency):
            answer = upload(table({**NEW, "price": cell}, delimiter=";"))
            if price is None:
                assert [(row, column) for row, column, _ in wrong(answer)] == [(2, "price")]
            else:
                assert answer.json["rows"][0]["changes"]["price"]["to"] == price

    @pytest.mark.parametrize(
        "media_type", ["text/csv", "application/vnd.ms-excel", "application/octet-stream"]
    )
    def test_as_browsers_call_it(self, media_type: str) -> None:
        assert counts(upload_bytes(table({**NEW, "name": "Größe �"}).encode(), media_type)) == (1, 0, 0)
        assert listed()[0]["name"] == "Größe �"

    @pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "windows-1252"])
    def test_another_encoding_is_refused_with_its_cure(self, encoding: str) -> None:
        content = table({**NEW, "name": "Größe"}).encode(encoding)
        as_text = upload(content.decode(errors="replace"))
        for answer in (upload_bytes(content), as_text):
            assert answer.status == 400
            assert "CSV UTF-8" in answer.json["error"]
            assert answer.json["error_count"] == 1
        assert listed() == []

    def test_empty_rows_and_columns_are_no_data(self) -> None:
        file = "code,name,token_amount,price,,\r\n,,,,,\r\n\r\na,A,1,1,,\r\n,,,,,\r\n"
        answer = upload(file)
        assert counts(answer) == (1, 0, 0)
        assert answer.json["rows"][0]["row"] == 4

    def test_a_row_is_counted_as_a_record(self) -> None:
        create("A", code="a")
        rows = [
            {"code": "a", "price": "1", "description": "x\r\ny"},
            {"code": "b", "price": "x", "description": ""},
        ]
        assert wrong(upload(table(*rows))) == [(3, "price", "decimal_parsing")]

    @pytest.mark.parametrize(
        ("file", "found"),
        [
            ("code,colour\r\na,red\r\nb,blue\r\n", [(1, "colour", "extra_forbidden")]),
            ("code,price,price\r\na,1,2\r\n", [(1, "price", "duplicate")]),
            ("code,price\r\na\r\n", [(2, None, "cells_missing")]),
            ("code,price\r\na,1\r\nb,9,90\r\n", [(3, None, "cells_left_over")]),
            ("code,,price,\r\na,x,1,\r\n", [(2, None, "cells_left_over")]),
            ('code,name\r\na,x\r\nb,"x\r\n', [(3, None, "csv_invalid")]),
            ('code,name\r\na,"x"y\r\n', [(2, None, "csv_invalid")]),
            ('"code,name', [(1, None, "csv_invalid")]),
            (
                "'code','name'\r\n'a','x'\r\n",
                [(1, "'code'", "extra_forbidden"), (1, "'name'", "extra_forbidden")],
            ),
            ("code;price,name\r\na;1,x\r\n", [(1, "code;price", "extra_forbidden")]),
        ],
    )
    def test_what_is_no_table_of_bundles(self, file: str, found: list[Any]) -> None:
        create("A", code="a")
        assert [error for error in wrong(upload(file)) if error[1] != "code"] == found

    @pytest.mark.parametrize("file", ["\ufeff", "code,name\r\n", "\r\n"])
    def test_no_rows(self, file: str) -> None:
        answer = upload(file)
        assert (answer.status, answer.json["errors"][0]["code"]) == (400, "too_short")


class TestErrors:
    def test_one_bad_row_among_a_thousand_is_named_and_nothing_is_written(self) -> None:
        rows = [{**NEW, "code": f"c{number}"} for number in range(1000)]
        rows[700]["price"] = "x"
        answer = upload(table(*rows))
        assert wrong(answer) == [(702, "price", "decimal_parsing")]
        assert answer.json["error"].startswith("row 702, price: ")
        assert listed() == []

    def test_all_of_them_are_counted_and_the_first_hundred_named(self) -> None:
        answer = upload(table(*({**NEW, "code": f"c{n}", "price": "x", "is_active": ""} for n in range(150))))
        assert answer.json["error_count"] == 300
        assert len(answer.json["errors"]) == 100

    def test_a_thousand_rows_and_a_mebibyte(self) -> None:
        assert counts(upload(table(*({**NEW, "code": f"c{n}"} for n in range(1000))))) == (1000, 0, 0)
        assert upload(table(*({**NEW, "code": f"d{n}"} for n in range(1001)))).status == 400
        assert upload(table(NEW) + "\r\n" * 2**19).status == 413

    @pytest.mark.parametrize(
        ("rows", "found"),
        [
            ([{"name": "x"}], [(2, "code", "unnamed")]),
            ([{"id": "", "code": "", "name": "x"}], [(2, "code", "unnamed")]),
            ([NEW, NEW], [(3, "code", "duplicate")]),
            ([{"id": NO_ID, "code": "x"}, {"id": NO_ID, "code": "y"}], [(3, "id", "duplicate")]),
            ([{"code": "x", "price": "1"}], [(2, "name", "missing"), (2, "token_amount", "missing")]),
        ],
    )
    def test_rows_that_do_not_say_enough_or_twice(self, rows: list[dict[str, Any]], found: list[Any]) -> None:
        assert wrong(upload(table(*rows))) == found

    def test_two_rows_for_one_bundle_by_its_id_and_its_code(self) -> None:
        bundle = create("A", code="a")
        rows = [{"id": bundle["id"], "code": "b"}, {"id": "", "code": "a"}]
        assert wrong(upload(table(*rows))) == [(3, "code", "duplicate")]

    def test_what_does_not_fit_what_is_there_is_named(self) -> None:
        first, second = create("A", code="a"), create("B", code="b")
        rows = [
            {"id": first["id"], "code": "b", "version": "1"},
            {"id": NO_ID, "code": "x", "version": ""},
            {"id": second["id"], "code": "free", "version": "7"},
            {"id": "", "code": "gone", "version": "1"},
        ]
        answer = upload(table(*rows))
        assert answer.status == 409
        assert wrong(answer) == [
            (2, "code", "code_taken"),
            (3, "id", "not_found"),
            (4, "version", "changed_meanwhile"),
            (5, "code", "not_found"),
        ]
        assert answer.json["errors"][2]["current_version"] == 1
        assert {bundle["version"] for bundle in listed()} == {1}

    def test_a_code_that_two_rows_take(self) -> None:
        first, second = create("A"), create("B")
        rows = [{"id": first["id"], "code": "x"}, {"id": second["id"], "code": "x"}]
        assert wrong(upload(table(*rows))) == [(3, "code", "code_taken")]
        assert wrong(upload_json(rows[0], {**NEW, "code": "x"})) == [(2, "code", "code_taken")]

    def test_a_code_that_the_file_frees_is_taken_still(self) -> None:
        first, second = create("A", code="a"), create("B", code="b")
        rows = [{"id": first["id"], "code": "b"}, {"id": second["id"], "code": "a"}]
        assert wrong(upload(table(*rows))) == [(2, "code", "code_taken"), (3, "code", "code_taken")]

    def test_a_key_is_refused(self) -> None:
        answer = request("POST", "/import", json_body={"bundles": [NEW]}, headers={"idempotency-key": "k"})
        assert (answer.status, answer.json["errors"][0]["header"]) == (400, "Idempotency-Key")

    def test_a_misspelt_parameter_does_not_write(self) -> None:
        assert upload(table(NEW), validateonly="true").status == 400
        assert listed() == []

    @pytest.mark.parametrize(
        "media_type", ["text/plain", "application/pdf", "text/csv; charset=windows-1252", "application/xml"]
    )
    def test_another_type_is_refused(self, media_type: str) -> None:
        answer = upload(table(NEW), media_type)
        assert (answer.status, "text/csv" in answer.json["error"]) == (415, True)

    def test_other_routes_take_no_file(self) -> None:
        assert request("POST", body=table(NEW), headers=CSV).status == 415

    def test_a_report_that_could_not_be_answered_is_not_begun(self, connection: Connection) -> None:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(
            text(
                "INSERT INTO token_bundle (code, name, description, token_amount, price)"
                " SELECT n, n, repeat('\"', 2000), 1, 1 FROM generate_series(1, 900) n"
            )
        )
        file = table(*({"code": str(number), "description": ""} for number in range(1, 901)))
        answer = upload(file)
        assert (answer.status, answer.json["errors"][0]["code"]) == (400, "report_too_large")
        assert listed()[0]["description"]


class TestVersions:
    def test_where_one_is_demanded_each_updated_row_must_have_it(self) -> None:
        bundle = create("A", code="a")
        with use_settings(REQUIRE_IF_MATCH="true"):
            assert upload(table({"code": "a", "name": "B"})).status == 428
            assert counts(upload(table({"code": "a", "name": "A"}))) == (0, 0, 1)
            assert counts(upload(table(NEW))) == (1, 0, 0)
            assert counts(upload(table({"code": "a", "name": "B", "version": bundle["version"]}))) == (
                0,
                1,
                0,
            )


class TestJson:
    def test_is_the_same(self) -> None:
        bundle = create("A", code="a", metadata={"k": "v"})
        answer = upload_json({**bundle, "price": 1.5}, NEW)
        assert counts(answer) == (1, 1, 0)
        assert [row["row"] for row in answer.json["rows"]] == [1, 2]
        assert listed(code="a")[0]["price"] == "1.50"

    def test_errors_name_the_row_from_1(self) -> None:
        assert wrong(upload_json(NEW, {"code": "b", "price": "1.234"})) == [
            (2, "price", "decimal_max_places")
        ]
        assert wrong(upload_json(NEW, 5)) == [(2, None, "model_type")]
        twice = '{"bundles": [{"code": "a", "price": 1, "price": 2}]}'
        assert wrong(request("POST", "/import", body=twice)) == [(1, "price", "duplicate")]

    @pytest.mark.parametrize("body", ["[]", "{}", '{"bundles": {}}', '{"bundles": []}', "x", ""])
    def test_no_list_of_bundles(self, body: str) -> None:
        answer = request("POST", "/import", body=body)
        assert (answer.status, answer.json["error_count"]) == (400, 1)


class TestExported:
    texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)
    formulas = st.tuples(st.sampled_from("=+-@\t\r\n'\""), texts).map("".join)
    bundles = st.fixed_dictionaries(
        {
            "name": st.one_of(texts, formulas).filter(lambda name: any(map(str.isalnum, name))),
            "description": st.one_of(
                st.none(), texts, formulas, texts.map(lambda t: (t or "x") * 60).map(lambda t: t[:2000])
            ),
            "token_amount": st.integers(1, 2**31 - 1),
            "price": st.integers(0, 9_999_999_999).map(lambda cents: f"{cents / 100:.2f}"),
            "is_active": st.booleans(),
            "sort_order": st.integers(-(2**31), 2**31 - 1),
            "metadata": st.dictionaries(
                st.from_regex("[A-Za-z0-9_.-]{1,40}", fullmatch=True), texts, max_size=3
            ),
        }
    )
    each = settings(
        max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
    )

    @each
    @given(bundles=st.lists(bundles, min_size=1, max_size=5), order=st.randoms(), data=st.data())
    def test_imports_as_unchanged(
        self, bundles: list[dict[str, Any]], order: Any, data: st.DataObject
    ) -> None:
        ids = [create(**{**bundle, "code": None})["id"] for bundle in bundles]
        exported = export(id=",".join(ids)).text
        assert counts(upload_bytes(exported.encode())) == (0, 0, len(ids))
        in_json = export(id=",".join(ids), format="json").json
        assert counts(upload_json(*in_json["bundles"])) == (0, 0, len(ids))
        # In any order, and of the columns any that tell which bundle it is.
        header, *rows = csv.reader(io.StringIO(exported.removeprefix("\ufeff"), newline=""))
        some = ["id", *data.draw(st.sets(st.sampled_from(header)))]
        columns = order.sample(sorted(set(some)), len(set(some)))
        delimiter = data.draw(st.sampled_from(",;\t"))
        part = table(
            *(dict(zip(header, row, strict=True)) for row in rows),
            columns=columns,
            extrasaction="ignore",
            delimiter=delimiter,
        )
        assert counts(upload_bytes(part.encode())) == (0, 0, len(ids))


class TestLook:
    def test_nothing_is_written(self) -> None:
        bundle = create("A", code="a")
        answer = upload(table({**NEW, "code": "a", "price": "100"}, NEW), validate_only="true", reason="look")
        assert counts(answer) == (1, 1, 0)
        assert answer.json["validate_only"] is True
        assert "id" not in answer.json["rows"][1]
        assert {"code": "price_changed_much", "row": 2, "column": "price"}.items() <= answer.json["warnings"][
            0
        ].items()
        assert listed() == [bundle]

    def test_what_it_says_is_what_is_done(self) -> None:
        create("A", code="a")
        file = table({**NEW, "code": "a"}, NEW)
        looked, done = upload(file, validate_only="true").json, upload(file).json
        for row in done["rows"]:
            if row["action"] == "created":
                del row["id"]
        assert looked == done | {"validate_only": True, "warnings": looked["warnings"]}
        assert {warned["code"] for warned in looked["warnings"]} >= {"same_name"}

    def test_it_is_refused_as_it_would_be(self) -> None:
        create("A", code="a")
        rows = [{"code": "a", "version": "3"}]
        looked, done = (upload(table(*rows), **query) for query in ({"validate_only": "true"}, {}))
        assert (looked.status, looked.json) == (done.status, done.json)

    def test_nothing_to_do_has_no_warnings(self) -> None:
        create("A", code="a")
        assert upload(table({"code": "a"}), validate_only="true").json["warnings"] == []


def test_the_history_has_the_reason_and_one_request() -> None:
    create("A", code="a")
    upload(table({**NEW, "code": "a"}, NEW), reason="New prices")
    entries = request("GET", "/history", query={"per_page": "3"}).json["items"]
    assert {(entry["action"], entry["reason"]) for entry in entries} == {
        ("created", None), ("updated", "New prices"), ("created", "New prices"),
    }  # fmt: skip


def test_it_is_logged_with_who_and_how_many(caplog: pytest.LogCaptureFixture) -> None:
    create("A", code="a")
    with caplog.at_level(logging.INFO):
        upload(table({**NEW, "code": "a"}, NEW))
    (line,) = [record for record in caplog.records if record.message == "answered"]
    told = vars(line)
    names = ("subject", "bundles_created", "bundles_updated", "bundles_unchanged", "validate_only")
    assert [told[name] for name in names] == ["admin-1", 1, 1, 0, False]
    assert "New" not in json.dumps(told, default=str)


@pytest.mark.parametrize(("times", "status"), [(3, 200), (4, 503)])
def test_while_others_write_it_is_planned_anew_thrice(
    monkeypatch: pytest.MonkeyPatch, times: int, status: int
) -> None:
    bundle = create("A", code="a", sort_order=1)
    plans: list[object] = []
    save = BUNDLES_TABLE.save_many

    def meanwhile(connection: Any, *arguments: Any) -> bool:
        plans.append(arguments)
        if len(plans) <= times:
            request("PATCH", f"/{bundle['id']}", json_body={"sort_order": 10 + len(plans)})
        return save(connection, *arguments)

    monkeypatch.setattr(BUNDLES_TABLE, "save_many", meanwhile)
    answer = upload(table({"code": "a", "name": "B"}))
    assert (answer.status, len(plans)) == (status, 4)
    stored = request("GET", f"/{bundle['id']}").bundle
    assert (stored["name"], stored["sort_order"]) == ("B" if status == 200 else "A", 10 + times)


def test_a_code_that_another_takes_meanwhile_is_met(monkeypatch: pytest.MonkeyPatch) -> None:
    save = BUNDLES_TABLE.save_many

    def meanwhile(connection: Any, *arguments: Any) -> bool:
        monkeypatch.setattr(BUNDLES_TABLE, "save_many", save)
        create("Another", code="new")
        return save(connection, *arguments)

    monkeypatch.setattr(BUNDLES_TABLE, "save_many", meanwhile)
    assert counts(upload(table(NEW))) == (0, 1, 0)


def test_other_prices_are_not_changed() -> None:
    with use_settings(DEFAULT_CURRENCY="JPY"):
        assert upload(table({**NEW, "price": "1"})).status == 503
