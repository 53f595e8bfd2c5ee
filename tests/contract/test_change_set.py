"""What a deploy changes, by the logical ids that SAM gives; each check is shown to find what is broken."""

import hashlib
import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import pytest

from dev import build
from dev.build import FINGERPRINT, Build
from dev.emulator import files
from dev.gateway.template import load_document
from dev.local import ROOT, TEMPLATE
from dev.parameters import write
from tests.client import TEMPLATE as ROUTES

SAM_PYTHON = ROOT / ".venv-sam/bin/python"

pytestmark = pytest.mark.skipif(not SAM_PYTHON.exists(), reason="only make installs the SAM CLI")


@dataclass(frozen=True)
class Change:
    """What a deploy has other than this checkout: in each file one text for another, and some parameters."""

    texts: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    fingerprint: bool = True


@dataclass(frozen=True)
class Stack:
    """What CloudFormation is given."""

    resources: dict[str, Any]
    parameters: dict[str, str]

    def of_type(self, kind: str) -> dict[str, Any]:
        return {
            name: resource["Properties"]
            for name, resource in self.resources.items()
            if resource["Type"] == kind
        }

    @cached_property
    def versions(self) -> dict[str, str]:
        versions = self.of_type("AWS::Lambda::Version")
        return {version["FunctionName"]["Ref"]: name for name, version in versions.items()}

    @cached_property
    def functions(self) -> dict[str, tuple[Any, str]]:
        """The code and the layers of each function, and all that is set, with the parameters in it."""
        return {
            name: ((properties["Code"], properties["Layers"]), self._settings(json.dumps(properties)))
            for name, properties in self.of_type("AWS::Lambda::Function").items()
        }

    def _settings(self, text: str) -> str:
        names = (name for name in self.parameters if re.search(rf"\b{name}\b", text))
        return text + "".join(f"{name}={self.parameters[name]}" for name in names)

    @property
    def routes(self) -> set[tuple[str, str]]:
        (api,) = self.of_type("AWS::ApiGatewayV2::Api").values()
        return {
            (method.upper(), path) for path, methods in api["Body"]["paths"].items() for method in methods
        }


document = cache(load_document)
DOCUMENT = document(TEMPLATE.read_text())
FUNCTIONS = {
    name: resource["Properties"]["Handler"].partition(".")[0]
    for name, resource in DOCUMENT["Resources"].items()
    if resource["Type"] == "AWS::Serverless::Function"
}
DECLARED = DOCUMENT["Parameters"]
PARAMETERS = {
    name: str(declared.get("Default", declared.get("AllowedValues", ["given"])[0]))
    for name, declared in DECLARED.items()
}


def another(parameter: str) -> dict[str, str]:
    value = PARAMETERS[parameter]
    allowed = map(str, DECLARED[parameter].get("AllowedValues", ()))
    return {parameter: next((other for other in allowed if other != value), f"{value}1")}


def line_in(path: str) -> Change:
    return Change({path: ("", "# Another line.\n")})


def template(old: str, new: str) -> Change:
    return Change({"template.yaml": (old, new)})


GLOBALS = "Globals:\n  Function:\n"
TAG = f"{GLOBALS}    Tags: {{team: a}}\n"
CONCURRENCY = "!If [ReservesConcurrency, 2,", "!If [ReservesConcurrency, 3,"
LIST_HANDLER = "Handler: list_token_bundles.handler\n"
LIST = "ListTokenBundles:\n    Type: AWS::Serverless::Function\n    DependsOn: Migration\n"
BUILD = "    Metadata:\n      BuildMethod: makefile\n      ProjectRootDirectory: .\n"
QUOTES = """a = 'b': #, \\ü "c" """

CHANGES = {
    "nothing": Change(),
    "a line in shared": line_in("shared/errors.py"),
    "a line in migrations": line_in("migrations/runner.py"),
    **{f"a line in {name}": line_in(f"functions/{module}.py") for name, module in FUNCTIONS.items()},
    "a comment": line_in("template.yaml"),
    "a description": template("Description: The admin API", "Description: An admin API"),
    "a description of a function": template(LIST_HANDLER, f"{LIST_HANDLER}      Description: Lists.\n"),
    "a timeout": template("Timeout: 10\n", "Timeout: 11\n"),
    "a tag": template(GLOBALS, TAG),
    "a concurrency": template(*CONCURRENCY),
    **{parameter: Change(parameters=another(parameter)) for parameter in DECLARED},
    "all at once": Change(
        {"shared/errors.py": ("", "\n"), "template.yaml": (GLOBALS, TAG)}, another("DefaultCurrency")
    ),
    "quotes and such": Change(
        parameters={"JwtAudience": QUOTES, "DatabaseHost": "null", "DatabaseCaFile": ""}
    ),
}
WITHOUT_FINGERPRINT = {
    f"{name} without the fingerprint": replace(CHANGES[name], fingerprint=False)
    for name in ("nothing", "a tag", "a concurrency", "DefaultCurrency")
}
WITHOUT_BUILD = template(LIST + BUILD, LIST)
BROKEN = {
    "a slash": template("/api/v1/admin/token-bundles/{proxy+}", "/api/v1/admin/token-bundles/"),
    "no build of its own": WITHOUT_BUILD,
    "no build of its own, and a line in another": Change(
        {**WITHOUT_BUILD.texts, **line_in("functions/get_token_bundle.py").texts}
    ),
}


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stack]:
    """What CloudFormation is given after each change."""
    changes = CHANGES | WITHOUT_FINGERPRINT | BROKEN
    packages = [packaged(change, tmp_path_factory.mktemp("checkout")) for change in changes.values()]
    answer = subprocess.run(
        [SAM_PYTHON, ROOT / "tests/contract/expand.py"],
        input=json.dumps(packages),
        env={"AWS_DEFAULT_REGION": "eu-central-1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(zip(changes, [Stack(**stack) for stack in json.loads(answer.stdout)], strict=True))


def packaged(change: Change, checkout: Path) -> dict[str, Any]:
    """Build and package as the SAM CLI does, without what comes from elsewhere."""
    for folder in ("functions", "migrations", "shared"):
        shutil.copytree(ROOT / folder, checkout / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(TEMPLATE, checkout)
    for path, (old, new) in change.texts.items():
        text = (checkout / path).read_text()
        assert old in text
        (checkout / path).write_text(text.replace(old, new, 1))
    parameters = checkout / "parameters.yaml"
    write(PARAMETERS | dict(change.parameters), parameters)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "ROOT", checkout)
        patch.setattr(build, "TEMPLATE", checkout / "template.yaml")
        patch.setattr(build, "_uv", lambda *_, **__: b"")
        text = (checkout / "template.yaml").read_text()
        places = {
            name: f"s3://packages/{digest(artifact, fingerprint=change.fingerprint)}"
            for name, artifact in built(document(text), checkout, Build(parameters, "3.13"))
        }
    return {"template": text, "places": places, "parameters": str(parameters)}


def built(template: dict[str, Any], checkout: Path, builder: Build) -> Iterator[tuple[str, Path]]:
    for name, resource in template["Resources"].items():
        folder = checkout / "artifacts" / name
        if resource.get("Metadata", {}).get("BuildMethod") == "makefile":
            folder.mkdir(parents=True)
            if name == "SharedLayer":
                builder.layer(folder)
            else:
                builder.function(FUNCTIONS[name], folder)
            yield name, folder
        elif resource["Type"] == "AWS::Serverless::Function":
            yield name, checkout / template["Globals"]["Function"]["CodeUri"]


def digest(folder: Path, *, fingerprint: bool) -> str:
    contents = files(folder)
    if not fingerprint:
        contents.pop(FINGERPRINT, None)
    return hashlib.sha256(repr(contents).encode()).hexdigest()


def published(before: Stack, after: Stack) -> set[str]:
    return {name for name, version in after.versions.items() if before.versions[name] != version}


def refused_or_forgotten(before: Stack, after: Stack) -> Iterator[str]:
    """Find the versions that Lambda refuses because nothing is new, and what no version is made of."""
    new_versions = published(before, after)
    for name, (code, settings) in after.functions.items():
        old_code, old_settings = before.functions[name]
        if name in new_versions and code == old_code:
            yield f"A version for this Lambda function exists: {name}."
        if name not in new_versions and settings != old_settings:
            yield f"{name} has changed, and its alias stays."


@pytest.mark.parametrize(
    ("change", "functions"),
    [
        ("nothing", set()),
        ("a line in shared", {*FUNCTIONS}),
        ("DefaultCurrency", {*FUNCTIONS}),
        ("a line in migrations", {"Migrate"}),
        *((f"a line in {name}", {name}) for name in FUNCTIONS),
    ],
)
def test_what_a_change_publishes(stacks: dict[str, Stack], change: str, functions: set[str]) -> None:
    before, after = stacks["nothing"], stacks[change]
    layers, migrations = (
        before.of_type(kind) != after.of_type(kind)
        for kind in ("AWS::Lambda::LayerVersion", "Custom::Migration")
    )

    assert published(before, after) == functions
    assert layers == (functions == {*FUNCTIONS})
    assert migrations == ("Migrate" in functions)


def test_from_each_deploy_to_each_other_every_version_is_taken(stacks: dict[str, Stack]) -> None:
    for before, after in itertools.permutations(CHANGES, 2):
        assert list(refused_or_forgotten(stacks[before], stacks[after])) == [], (before, after)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ("a tag", "A version for this Lambda function exists: GetTokenBundle."),
        ("a concurrency", "A version for this Lambda function exists: Migrate."),
        ("DefaultCurrency", "GetTokenBundle has changed, and its alias stays."),
    ],
)
def test_without_the_fingerprint_versions_are_refused_or_forgotten(
    stacks: dict[str, Stack], change: str, problem: str
) -> None:
    before, after = (stacks[f"{name} without the fingerprint"] for name in ("nothing", change))

    assert problem in refused_or_forgotten(before, after)


def test_without_a_build_of_its_own_a_function_is_published_with_others(stacks: dict[str, Stack]) -> None:
    before, after = stacks["no build of its own"], stacks["no build of its own, and a line in another"]

    assert published(before, after) == {"GetTokenBundle", "ListTokenBundles"}


def test_the_sam_cli_passes_the_parameters_as_they_are(stacks: dict[str, Stack]) -> None:
    for name, change in CHANGES.items():
        assert stacks[name].parameters == PARAMETERS | dict(change.parameters), name


def test_no_route_ends_in_a_slash(stacks: dict[str, Stack]) -> None:
    # SAM says nothing of such a route, and API Gateway leaves it out when it imports the document.
    assert stacks["nothing"].routes == {(route.method, route.path) for route in ROUTES.routes}
    assert ends_in_slash(stacks["nothing"]) == set()
    assert ends_in_slash(stacks["a slash"]) == {"/api/v1/admin/token-bundles/"}


def ends_in_slash(stack: Stack) -> set[str]:
    return {path for _, path in stack.routes if path.endswith("/")}
