"""What is passed to CloudFormation for each parameter, and what is said of a file that is wrong."""

import re
from pathlib import Path

import pytest

from dev.parameters import ParametersError, all_parameters

TEMPLATE = """
Parameters:
  Host: {Type: String, MinLength: 1, MaxLength: 9}
  Note: {Type: String, Default: ""}
  Level: {Type: String, Default: None, AllowedValues: [None, "true", INFO]}
  Currency: {Type: String, Default: EUR, AllowedPattern: '^[A-Z]{3}$'}
  Limit: {Type: Number, Default: 10, MinValue: -1, MaxValue: 5000}
  Days: {Type: Number, Default: 30, AllowedValues: [7, 30]}
  Origins: {Type: CommaDelimitedList, Default: "http://a, http://b", AllowedPattern: 'http://\\S+'}
  Subnets: {Type: "List<AWS::EC2::Subnet::Id>", Default: "0"}
  Architecture: {Type: String, Default: arm64, AllowedValues: [arm64, x86_64]}
Resources:
  Thing: {Type: Thing, Properties: {Host: !Ref Host}}
"""
DEFAULTS = {
    "Note": "",
    "Level": "None",
    "Currency": "EUR",
    "Limit": "10",
    "Days": "30",
    "Origins": "http://a, http://b",
    "Subnets": "0",
    "Architecture": "arm64",
}
NO_VALUE = 'has no value: write "" for an empty one, or no line for the default.'


@pytest.fixture
def template(tmp_path: Path) -> Path:
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    return path


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "parameters.yaml"


def test_each_parameter_that_is_not_given_has_its_default(template: Path, file: Path) -> None:
    file.write_text("Host: db\nLimit: 0\n")

    assert all_parameters(file, template=template) == DEFAULTS | {"Host": "db", "Limit": "0"}


def test_without_a_file_there_are_the_defaults(template: Path, file: Path) -> None:
    assert all_parameters(file, template=template) == DEFAULTS


def test_another_architecture(template: Path, file: Path) -> None:
    file.write_text("Host: db\nArchitecture: arm64\n")

    assert all_parameters(file, "x86_64", template)["Architecture"] == "x86_64"
    with pytest.raises(ParametersError, match=r"^Architecture must be one of arm64, x86_64\.$"):
        all_parameters(file, "arm", template)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("Note: plain", "plain"),
        ('Note: ""', ""),
        ("Note: a = 'b', c", "a = 'b', c"),
        ("Note: 0123", "0123"),
        ("Note: 1_000", "1_000"),
        ("Note: 12:30:45", "12:30:45"),
        ("Note: 2026-01-01", "2026-01-01"),
        ("Note: 1.10", "1.10"),
        ("Note: NO", "NO"),
        ("Note: None", "None"),
        ("Note: 'null'", "null"),
        ("Level: true", "true"),
        ("Level: None", "None"),
        ("Limit: 5000", "5000"),
        ("Limit: '-1'", "-1"),
        ("Days: 7", "7"),
        ("Origins: [http://a, 'http://b']", "http://a,http://b"),
        ("Origins:\n- http://a\n- http://b", "http://a,http://b"),
        ("Subnets: [1, 2]", "1,2"),
    ],
)
def test_a_value_is_passed_as_it_is_written(template: Path, file: Path, line: str, value: str) -> None:
    file.write_text(f"Host: db\n{line}\n")

    assert all_parameters(file, template=template)[line.partition(":")[0]] == value


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("Hots: db", "Hots is no parameter of template.yaml."),
        ("<<: {Note: a}", "<< is no parameter of template.yaml."),
        ("Note:", f"Note {NO_VALUE}"),
        ("Note: null", f"Note {NO_VALUE}"),
        ("Note: [a]", "Note must be a text, a number or a boolean."),
        ("Note: {a: b}", "Note must be a text, a number or a boolean."),
        ("Note: !Ref Host", "Note must be a text, a number or a boolean."),
        ("Note: !!binary aGk=", "Note must be a text, a number or a boolean."),
        ("Origins: &a [*a]", "Origins must be a text, a number or a boolean, or a list."),
        ("Origins: {a: b}", "Origins must be a text, a number or a boolean, or a list."),
        ("Origins: ['http://a,b']", "Origins has an item with a comma."),
        ("Origins: [http://a, null]", f"Origins {NO_VALUE}"),
        ("Origins: http://a,b", r"Origins must match http://\S+."),
        ("Subnets: []", "Subnets must not be empty."),
        ("Host: ''", "Host must have 1 to 9 characters."),
        ("Host: ten.letters", "Host must have 1 to 9 characters."),
        ("Level: True", "Level must be one of None, true, INFO."),
        ("Level: yes", "Level must be one of None, true, INFO."),
        ("Level: none", "Level must be one of None, true, INFO."),
        ("Currency: euro", "Currency must match ^[A-Z]{3}$."),
        ("Limit: 1_000", "Limit must be a whole number, in plain digits."),
        ("Limit: 010", "Limit must be a whole number, in plain digits."),
        ("Limit: 5.0", "Limit must be a whole number, in plain digits."),
        ("Limit: 0x10", "Limit must be a whole number, in plain digits."),
        ("Limit: 1e3", "Limit must be a whole number, in plain digits."),
        ("Limit: ''", "Limit must be a whole number, in plain digits."),
        ("Limit: -2", "Limit must be from -1 to 5000."),
        ("Limit: 5001", "Limit must be from -1 to 5000."),
        ("Days: 8", "Days must be one of 7, 30."),
    ],
)
def test_a_line_that_is_wrong_is_named(template: Path, file: Path, line: str, problem: str) -> None:
    file.write_text(line if line.startswith("Host") else f"Host: db\n{line}\n")

    with pytest.raises(ParametersError) as raised:
        all_parameters(file, template=template)
    assert str(raised.value) == problem


@pytest.mark.parametrize("note", ["'\"a\"'", '"\'"', "'a\\ b'", "'a\\\"b'", '"a\\nb"', "|\n  a\n", '"\\0"'])
def test_what_the_sam_cli_would_change_is_refused(template: Path, file: Path, note: str) -> None:
    file.write_text(f"Host: db\nNote: {note}\n")

    with pytest.raises(ParametersError, match=r"^Note must be one line, not in quotes, "):
        all_parameters(file, template=template)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "Host is missing: it has no default."),
        ("# Host: db", "Host is missing: it has no default."),
        ("Limit: a\nHots: db", "Hots is no .*\nHost is missing.*\nLimit must be a whole number.*"),
        ("Host: db\nHost: other", "Host is in parameters.yaml twice."),
        ("- Host: db", "parameters.yaml must have a `Name: value` on each line."),
        ("Host=db", "parameters.yaml must have a `Name: value` on each line."),
        ("Host: db: 5432", "parameters.yaml is not YAML: mapping values are not allowed here(.|\n)*"),
        ("[" * 10_000, "parameters.yaml is not YAML: maximum recursion depth exceeded(.|\n)*"),
        ("Host: a\n---\nHost: b", "parameters.yaml is not YAML: expected a single document(.|\n)*"),
    ],
)
def test_a_file_that_is_wrong(template: Path, file: Path, text: str, problem: str) -> None:
    file.write_text(text)

    with pytest.raises(ParametersError) as raised:
        all_parameters(file, template=template)
    assert re.fullmatch(problem, str(raised.value))
