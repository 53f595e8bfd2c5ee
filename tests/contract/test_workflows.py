"""What zizmor does not notice in the deploy workflow; each check is shown to find what is broken."""

import copy
import os
import re
import shlex
import subprocess
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import yaml

from dev.gateway.template import load_document
from dev.local import ROOT, TEMPLATE

Job = dict[str, Any]
Check = Callable[[Job], Iterator[str]]

DEPLOY: Job = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())["jobs"]["deploy"]
MIGRATION = load_document(TEMPLATE.read_text())["Resources"]["Migration"]["Properties"]
CREDENTIALS = "aws-actions/configure-aws-credentials"
# What `make build` leaves behind.
INSTALLED = [".venv/.serve-synced", ".venv/.synced", ".venv-sam/.installed"]
INSTALLS = re.compile(r"\b(apt-get|npm|pip|uv|sam build)\b")


def place_of_credentials(job: Job) -> int:
    return next(place for place, step in enumerate(job["steps"]) if CREDENTIALS in step.get("uses", ""))


def commands(step: dict[str, str]) -> Iterator[str]:
    for line in step.get("run", "").splitlines():
        yield line
        if line.startswith("make "):
            assumed = [f"--assume-old={path}" for path in INSTALLED]
            # Not in the environment of the make that runs the tests, which has variables of its own.
            yield from subprocess.run(
                [*shlex.split(line), "--dry-run", *assumed],
                cwd=ROOT,
                env={"PATH": os.environ["PATH"]},
                check=True,
                capture_output=True,
                text=True,
            ).stdout.splitlines()


def nothing_is_installed_or_built_with_credentials(job: Job) -> Iterator[str]:
    for step in job["steps"][place_of_credentials(job) + 1 :]:
        if "uses" in step:
            yield f"{step['uses']} can use the credentials."
        for command in commands(step):
            if INSTALLS.search(command):
                yield f"Has the credentials: {command}"


def a_migration_that_cannot_answer_is_waited_for(job: Job) -> Iterator[str]:
    good_for = job["steps"][place_of_credentials(job)]["with"]["role-duration-seconds"]
    # CloudFormation waits once for the migration, and once for taking it back.
    if good_for <= 2 * int(MIGRATION["ServiceTimeout"]):
        yield "The credentials end before CloudFormation gives up."
    if job["timeout-minutes"] * 60 <= good_for:
        yield "The job ends before its credentials."


def with_step(**step: str) -> Job:
    return DEPLOY | {"steps": [*DEPLOY["steps"], step]}


def with_credentials_first() -> Job:
    steps = DEPLOY["steps"]
    return DEPLOY | {"steps": [steps[place_of_credentials(DEPLOY)], *steps]}


def with_credentials_for(seconds: int) -> Job:
    job = copy.deepcopy(DEPLOY)
    job["steps"][place_of_credentials(job)]["with"]["role-duration-seconds"] = seconds
    return job


BROKEN: dict[Check, list[tuple[Job, str]]] = {
    nothing_is_installed_or_built_with_credentials: [
        (with_credentials_first(), "actions/checkout"),
        (with_credentials_first(), "sam build"),
        (with_step(run="make deploy"), "sam build"),
        (with_step(run="set -e\npip install awscli"), "pip install"),
    ],
    a_migration_that_cannot_answer_is_waited_for: [
        (with_credentials_for(1800), "The credentials end"),
        (DEPLOY | {"timeout-minutes": 60}, "The job ends"),
    ],
}


@pytest.mark.parametrize("check", BROKEN)
def test_the_deploy_workflow(check: Check) -> None:
    assert list(check(DEPLOY)) == []


@pytest.mark.parametrize(
    ("check", "job", "problem"), [(check, *found) for check, wanted in BROKEN.items() for found in wanted]
)
def test_each_check_finds_what_is_broken(check: Check, job: Job, problem: str) -> None:
    assert any(problem in found for found in check(job))
