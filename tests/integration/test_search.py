"""Finding bundles by a part of their name: alike in every locale and on every Postgres."""

import unicodedata
from collections.abc import Iterator

import pytest
from alembic import command
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from shared.fields import fold
from tests.client import request
from tests.conftest import CreateDatabase, use_settings
from tests.contract.test_migrations import CONFIG
from tests.integration.at_once import VALID
from tests.integration.conftest import functions_with
from tests.postgres import execute, recorded

# What is stored, and what is looked for.
FOUND = [
    ("Ärger", "ärger"),
    ("ÄRGER", "ärger"),
    ("ΟΔΟΣ", "οδος"),
    ("οδος", "ΟΔΟΣ"),
    ("Straße", "STRASSE"),
    ("STRASSE", "straße"),
    ("Cre\u0300me", "crème"),
    ("Crème", "CRE\u0300ME"),
    ("Weekend", "Weekend "),
    ("Weekend", "\t weekend\u00a0"),
    ("Weekend", " "),
    ("ﬁnish", "FINISH"),
    ("İstanbul", "i\u0307stanbul"),
    ("\u1fb3", "\u0391\u0399"),
    ("\u212b", "å"),
    ("50% _off\\", "% _OFF\\"),
    ("각", "\u1100\u1161\u11a8"),
    ("q\u0307\u0323", "q\u0323\u0307"),
]
NOT_FOUND = [("Ilk", "\u0131lk"), ("\u0131lk", "Ilk"), ("é", "e"), ("Weekend", "week end"), ("a", "a" * 9000)]


@pytest.fixture(scope="module", params=["C.UTF-8", "C"])
def url(
    request: pytest.FixtureRequest,
    database: Engine,  # noqa: ARG001 - its settings are those after this module
    server_url: str,
    create_database: CreateDatabase,
    migrated_database: str,
) -> Iterator[str]:
    """A migrated database whose own idea of letters is that of the locale."""
    url = create_database(copy_of=migrated_database)
    if request.param == "C":
        url = server_url.rpartition("/")[0] + "/locale_c"
        locale = "LOCALE_PROVIDER libc LOCALE 'C'"
        execute(server_url, f"CREATE DATABASE locale_c TEMPLATE template0 ENCODING UTF8 {locale}")
        with use_settings(DATABASE_URL=url):
            command.upgrade(CONFIG, "head")
    with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        yield url


def found(name: str, part: str) -> bool:
    """Create a bundle, and tell whether it is found, also after another change of it."""
    bundle = request("POST", json_body=VALID | {"name": name}).bundle
    path = f"/{bundle['id']}"
    results: set[bool] = set()
    for change in ({}, {"price": "1"}, {"name": "x"}, {"name": name}):
        assert request("PATCH", path, json_body=change).status == 200
        if change != {"name": "x"}:
            results.add(request("GET", query={"q": part}).json["total"] == 1)
    assert request("DELETE", path).status == 200
    (result,) = results
    return result


@pytest.mark.usefixtures("url")
class TestName:
    @pytest.mark.parametrize(("name", "part"), FOUND)
    def test_is_found_by(self, name: str, part: str) -> None:
        assert found(name, part)

    @pytest.mark.parametrize(("name", "part"), NOT_FOUND)
    def test_is_not_found_by(self, name: str, part: str) -> None:
        assert not found(name, part)

    def test_is_stored_composed(self) -> None:
        bundle = request("POST", json_body=VALID | {"name": " Cre\u0300me"}).bundle
        assert bundle["name"] == "Crème"
        answer = request("PUT", f"/{bundle['id']}", json_body={"name": "Cre\u0300me "})
        assert answer.bundle == bundle
        request("DELETE", f"/{bundle['id']}")


class TestNameByPsql:
    """It is not folded, and found as Postgres folds it."""

    def test_is_found_whatever_it_was(self, url: str) -> None:
        bundle = request("POST", json_body=VALID | {"name": "Starter"}).bundle
        rename = "UPDATE token_bundle SET name = 'Straße', version = version + 1"
        execute(url, recorded(rename, "updated"))
        execute(
            url,
            recorded("INSERT INTO token_bundle (name, token_amount, price) VALUES ('Neu', 1, 1)", "created"),
        )
        for part, total in (("starter", 0), ("traße", 1), ("STRA", 1), ("neu", 1), ("EU ", 1), ("", 2)):
            assert request("GET", query={"q": part}).json["total"] == total, part
        for item in request("GET").json["items"]:
            request("DELETE", f"/{item['id']}")
        assert bundle["name"] == "Starter"


def test_older_names_are_folded_by_the_migration(create_database: CreateDatabase) -> None:
    url = create_database()
    with use_settings(DATABASE_URL=url):
        command.upgrade(CONFIG, "0002")
        names = ["STRASSE", "Cre\u0300me", "ΟΔΟΣ", "Four", "Five"]
        values = ", ".join(f"('{name}', 1, 1)" for name in names)
        execute(
            url, recorded(f"INSERT INTO token_bundle (name, token_amount, price) VALUES {values}", "created")
        )
        command.upgrade(CONFIG, "head")
    with functions_with(DATABASE_URL=url, DEFAULT_CURRENCY="EUR"):
        for part in ("straße", "CRÈME", "οδος", "four", "FIVE"):
            (item,) = request("GET", query={"q": part}).json["items"]
            assert (item["version"], item["name"] in names) == (1, True)


@given(st.text(max_size=20))
def test_what_is_canonically_equivalent_is_folded_alike(text: str) -> None:
    assert fold(fold(text)) == fold(text)
    for form in ("NFC", "NFD"):
        assert fold(unicodedata.normalize(form, text)) == fold(text)


class TestBlankName:
    @pytest.mark.parametrize(
        "name",
        ["\u200b", "\u2800", "\u3164", "\u00ad", "\x01\x7f\u0085", "\ufeff", "\u2060 \u2063", "\u202e",
         "\ufe0f", "\U000e0041", "\U000e0100", "\u115f\u1160", "\uffa0", "\u034f", "\u180e", "\u180b",
         "\u17b4", "\u2028\u3000", "\ufff0", "\ufff8",
         "\U000e0000", "\U000e0fff", "\U00016fe4"],
    )  # fmt: skip
    @pytest.mark.parametrize("method", ["POST", "PATCH"])
    def test_is_what_nobody_can_see(self, method: str, name: str, bundle: dict[str, str]) -> None:
        path = "" if method == "POST" else f"/{bundle['id']}"
        answer = request(method, path, json_body=VALID | {"name": name})
        assert (answer.status, answer.json["detail"]) == (400, "name: must not be blank")

    @pytest.mark.parametrize(
        "name", ["👍🏽", "a\u200bb", "❤\ufe0f", "中", "٣", "-", "\u0301", "ﷺ", "\U0001f1e9\U0001f1ea"]
    )
    @pytest.mark.usefixtures("connection")
    def test_is_not_what_somebody_can(self, name: str) -> None:
        answer = request("POST", json_body=VALID | {"name": name})
        assert (answer.status, answer.bundle["name"]) == (201, name)


@pytest.mark.usefixtures("connection")
class TestLongName:
    @pytest.mark.parametrize(
        "name", ["e\u0301" * 255, "\u1100\u1161\u11a8" * 255, "\u1f82" * 255, " " * 60_000 + "n"]
    )
    def test_is_measured_as_it_is_stored(self, name: str) -> None:
        answer = request("POST", json_body=VALID | {"name": name})
        assert answer.status == 201
        assert answer.bundle["name"] == unicodedata.normalize("NFC", name.strip())

    @pytest.mark.parametrize(
        "name", ["e\u0301" * 256, "\u0958" * 128, "n" * 60_000, "a" + "\u0301\u0316" * 3_000]
    )
    def test_has_at_most_255_characters(self, name: str) -> None:
        answer = request("POST", json_body=VALID | {"name": name})
        assert (answer.status, answer.json["detail"]) == (400, "name: must have at most 255 characters")
