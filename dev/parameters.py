"""Writes down every parameter of a deployment: the template's defaults, overlaid with a file.

A stack keeps the value of each parameter that a deploy does not pass: the default would not come back when a
line of the file is deleted, and one that a release changes would never arrive.
"""

import argparse
import re
import sys
from decimal import Decimal
from pathlib import Path

import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_pascal

from dev.local import TEMPLATE, UserError

_TAG = "tag:yaml.org,2002:"
_VALUES = {f"{_TAG}{name}" for name in ("str", "bool", "int", "float", "timestamp")}
_NUMBER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
# The SAM CLI takes these for quotes and escapes of its own, even in a file.
_CHANGED_BY_SAM = re.compile(r"""(['"])(.*\1)?|.*\\[ '"].*""")


class ParametersError(UserError):
    """A deploy with these parameters would fail, or do something else; each line of the message says why."""


class Parameter(BaseModel, alias_generator=to_pascal, frozen=True):
    """What the template says of a parameter."""

    type: str
    default: str | None = None
    allowed_values: tuple[str, ...] = ()
    allowed_pattern: str = "(?s:.*)"
    min_value: Decimal = Decimal("-Infinity")
    max_value: Decimal = Decimal("Infinity")
    min_length: int = 0
    max_length: int = 4096

    def value(self, node: yaml.Node | None) -> str:
        """Return the value of a line of the file, or the default where there is none.

        It is taken as it is written, whatever YAML thinks that it is. Raises ValueError for what would be
        refused by CloudFormation, or not reach it as it is.
        """
        value = self.default if node is None else self._written(node)
        if value is None:
            raise ValueError("is missing: it has no default")
        if _CHANGED_BY_SAM.fullmatch(value) or not value.isprintable():
            raise ValueError(
                "must be one line, not in quotes, and with no backslash before a blank or a quote"
            )
        for item in [item.strip() for item in value.split(",")] if self._is_list else [value]:
            self._check(item)
        return value

    @property
    def _is_list(self) -> bool:
        return self.type == "CommaDelimitedList" or self.type.startswith("List<")

    def _written(self, node: yaml.Node) -> str:
        if not (self._is_list and isinstance(node, yaml.SequenceNode)):
            return self._scalar(node)
        items = [self._scalar(item) for item in node.value]
        if any("," in item for item in items):
            raise ValueError("has an item with a comma")
        return ",".join(items)

    def _scalar(self, node: yaml.Node) -> str:
        match node:
            case yaml.ScalarNode() if node.tag in _VALUES:
                return str(node.value)
            case yaml.ScalarNode() if node.tag == f"{_TAG}null":
                raise ValueError('has no value: write "" for an empty one, or no line for the default')
        raise ValueError(f"must be a text, a number or a boolean{', or a list' if self._is_list else ''}")

    def _check(self, value: str) -> None:
        if self.allowed_values and value not in self.allowed_values:
            raise ValueError(f"must be one of {', '.join(self.allowed_values)}")
        if not re.fullmatch(self.allowed_pattern, value, re.ASCII):
            raise ValueError(f"must match {self.allowed_pattern}")
        if self.type.startswith("List<AWS::") and not value:
            raise ValueError("must not be empty")
        if "Number" not in self.type:
            if not self.min_length <= len(value) <= self.max_length:
                raise ValueError(f"must have {self.min_length} to {self.max_length} characters")
        elif not _NUMBER.fullmatch(value):
            raise ValueError("must be a whole number, in plain digits")
        elif not self.min_value <= Decimal(value) <= self.max_value:
            raise ValueError(f"must be from {self.min_value} to {self.max_value}")


def main() -> int:
    """Write every parameter of a deployment into a file for the SAM CLI."""
    parser = argparse.ArgumentParser(prog="python -m dev.parameters", description=main.__doc__)
    parser.add_argument("given", type=Path, help="YAML with a `Name: value` a line, where not the default")
    parser.add_argument("complete", type=Path, help="the file to write")
    parser.add_argument("--architecture", help="instead of the given one")
    arguments = parser.parse_args()
    try:
        parameters = all_parameters(arguments.given, arguments.architecture)
    except ParametersError as error:
        print(error, file=sys.stderr)
        return 1
    arguments.complete.parent.mkdir(exist_ok=True)
    write(parameters, arguments.complete)
    return 0


def all_parameters(given: Path, architecture: str | None = None, template: Path = TEMPLATE) -> dict[str, str]:
    """Return the value of each parameter; where there is no file, only of those that have a default.

    Raises ParametersError.
    """
    document = yaml.load(template.read_text(), yaml.BaseLoader)  # noqa: S506 (it reads only texts)
    declared = {name: Parameter(**properties) for name, properties in document["Parameters"].items()}
    lines = _lines(given) if given.exists() else {}
    problems = [f"{name} is no parameter of {template.name}." for name in lines if name not in declared]
    if architecture:
        lines["Architecture"] = yaml.ScalarNode(f"{_TAG}str", architecture)
    values = {}
    for name, parameter in declared.items():
        if given.exists() or parameter.default is not None:
            try:
                values[name] = parameter.value(lines.get(name))
            except ValueError as error:
                problems.append(f"{name} {error}.")
    if problems:
        raise ParametersError("\n".join(problems))
    return values


def write(parameters: dict[str, str], path: Path) -> None:
    """Write the parameters as YAML in which each value is a text, whatever it looks like."""
    path.write_text(yaml.safe_dump(parameters, default_style='"', sort_keys=False))


def _lines(path: Path) -> dict[str, yaml.Node]:
    try:
        root = yaml.compose(path.read_text(), yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise ParametersError(f"{path.name} is not YAML: {error}") from error
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise ParametersError(f"{path.name} must have a `Name: value` on each line.")
    lines: dict[str, yaml.Node] = {}
    for key, value in root.value:
        name = str(key.value)
        if name in lines:
            raise ParametersError(f"{name} is in {path.name} twice.")
        lines[name] = value
    return lines


if __name__ == "__main__":
    sys.exit(main())
