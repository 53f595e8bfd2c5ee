"""The documents name what there is."""

import re
from html import unescape
from pathlib import Path

import pytest

from dev.local import ROOT, TEMPLATE

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])


def test_the_picture_shows_its_source() -> None:
    source = (ROOT / "docs/architecture.dot").read_text()
    picture = (ROOT / "docs/architecture.svg").read_text()
    labels = re.findall(r'label="(.+?)"', source)

    assert len(labels) > 15
    assert {line.strip() for label in labels for line in label.split(r"\n")} == {
        unescape(text).strip() for text in re.findall(r"<text[^>]*>(.+?)</text>", picture)
    }


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]+))?\)", document.read_text())

    for path, section in links:
        target = document.parent / path if path else document
        assert target.exists(), path
        assert not section or section in sections(target)


def test_each_alarm_leads_to_its_section_of_the_runbook() -> None:
    text = TEMPLATE.read_text()
    leading = re.findall(
        r"(\w+Alarm):\n +Type: .*\n +Properties:\n +AlarmDescription: .+; see docs/runbook\.md#(\w+)\.\n",
        text,
    )

    assert len(leading) == text.count("Type: AWS::CloudWatch::Alarm")
    assert {name.lower(): section for name, section in leading} == {
        section: section for _, section in leading
    }
    assert {section for _, section in leading} <= sections(ROOT / "docs/runbook.md")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_tests_that_it_names_exist(document: Path) -> None:
    tests = "".join(path.read_text() for path in ROOT.glob("tests/**/test_*.py"))
    named = re.findall(r"`(test_\w+)`", document.read_text())

    assert [name for name in named if f"def {name}(" not in tests] == []


def sections(document: Path) -> set[str]:
    """Name the headings as links do."""
    headings = re.findall(r"(?m)^#+ (.+)$", document.read_text())
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
