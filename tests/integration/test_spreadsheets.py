"""Files that LibreOffice 7.4 has made of `exported.csv`: read rightly, or refused with what to do.

Each was opened and saved again with `soffice --headless`, whose `--infilter` and `--convert-to` take the
separator, the quotation mark, the character set and the language; a decimal comma is a German profile's.
"""

import pytest

from dev.local import ROOT
from tests.client import Answer
from tests.integration.test_import import counts, listed, upload, upload_bytes

pytestmark = pytest.mark.usefixtures("connection")

FOLDER = ROOT / "tests/integration/spreadsheets"
READ = [
    "exported", "comma", "comma-all-texts-quoted", "comma-from-xlsx", "tab", "semicolon",
    "semicolon-decimal-comma",
]  # fmt: skip
ALL_ROWS = [2, 3, 4, 5]
REFUSED = {
    "semicolon-german-words": (ALL_ROWS, "is_active", "must be true or false"),
    "comma-decimal-comma": (ALL_ROWS, "price", "must be a number with a point"),
    "tab-decimal-comma": (ALL_ROWS, "price", "must be a number with a point"),
    # As everywhere else, text is between quotation marks, not between apostrophes.
    "apostrophe": ([3, 4, 5], None, "quotation marks"),
}
OTHER_ENCODINGS = ["utf-16", "windows-1252", "mac-roman", "iso-8859-15"]


def upload_both_ways(name: str) -> list[Answer]:
    """Upload a file as bytes, and as the text that API Gateway makes of `text/csv`."""
    content = (FOLDER / f"{name}.csv").read_bytes()
    return [upload_bytes(content), upload(content.decode(errors="replace"))]


def test_no_file_is_left_out() -> None:
    assert {path.stem for path in FOLDER.iterdir()} == {*READ, *REFUSED, *OTHER_ENCODINGS}


@pytest.mark.parametrize("name", READ)
def test_what_is_read_is_what_was_exported(name: str) -> None:
    counts(upload_both_ways("exported")[0])
    before = listed()
    assert [counts(answer) for answer in upload_both_ways(name)] == [(0, 0, 4)] * 2
    assert listed() == before


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_misread_is_refused(name: str) -> None:
    rows, column, sentence = REFUSED[name]
    for answer in upload_both_ways(name):
        assert answer.status == 400
        found = [error for error in answer.json["errors"] if error["column"] == column]
        assert [error["row"] for error in found] == rows
        assert sentence in found[0]["detail"]
    assert listed() == []


@pytest.mark.parametrize("name", OTHER_ENCODINGS)
def test_another_encoding_is_refused(name: str) -> None:
    for answer in upload_both_ways(name):
        assert (answer.status, answer.json["errors"][0]["code"]) == (400, "not_utf_8")
        assert "CSV UTF-8" in answer.json["error"]
    assert listed() == []
