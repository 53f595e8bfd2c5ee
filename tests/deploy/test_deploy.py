"""The life of a stack, one step after the other: the SAM CLI's own `deploy`, into an emulated account."""

import json
import re
from datetime import UTC, datetime
from fnmatch import fnmatch

import pytest
from alembic.script import ScriptDirectory
from botocore.exceptions import ClientError

from dev.gateway.template import load_document
from dev.local import ROOT
from tests.contract.test_template import DOCUMENT
from tests.deploy.account import KEEP, PYTHON, REPOSITORY, ROLE, STACK
from tests.deploy.checkout import LEFT_OUT
from tests.deploy.conftest import FUNCTIONS, PATH, Deployment
from tests.deploy.runbook import Commands, blocks, run
from tests.postgres import execute

pytestmark = pytest.mark.skipif(not PYTHON, reason="only `make deploy-local` has the emulator")

HEAD = ScriptDirectory(str(ROOT / "migrations")).get_current_head()
RUNBOOK = [each for each in blocks()[1:] if not each.only_aws and each.heading != "Delete the stack"]
DELETE = [each for each in blocks() if not each.only_aws and each.heading == "Delete the stack"]
# What the commands of a section must find of what the tests before it have done.
TOLD = {
    "MigrationAlarm": ["division by zero", f'"after": "{HEAD}"'],
    "DatabaseErrorAlarm": ["secretsmanager:GetSecretValue"],
    "CurrencyAlarm": ["EUR"],
    "Find a request": ["created"],
}
ALIASES = {f"{name}Aliaslive" for name in FUNCTIONS}
# Of what the template does not use.
NOT_NEEDED = (
    *("codedeploy:*", "elasticfilesystem:*", "firehose:*", "kms:*", "s3files:*", "vpc-lattice:*", "vpce:*"),
    *("ec2:DeleteTags", "iam:*PermissionsBoundary"),
)
FAILING = f"""
from alembic import op

revision, down_revision = "fails", "{HEAD}"


def upgrade() -> None:
    op.execute("SELECT 1 / 0")
"""


def test_every_resource_is_complete(deployment: Deployment) -> None:
    assert deployment.status == "CREATE_COMPLETE"
    assert {each["ResourceStatus"] for each in deployment.resources.values()} == {"CREATE_COMPLETE"}
    conditional = {name for name, each in DOCUMENT["Resources"].items() if "Condition" in each}
    named = {name for name in DOCUMENT["Resources"] if not name.startswith("Fn::")} - conditional
    # SAM calls a layer by its contents.
    assert named - deployment.resources.keys() == {LEFT_OUT, "SharedLayer"}


def test_only_the_right_environment_of_the_repository_may_deploy(deployment: Deployment) -> None:
    for subject in (f"repo:{REPOSITORY}:environment:test", f"repo:{REPOSITORY}-fork:environment:production"):
        with pytest.raises(ClientError, match="AccessDenied"):
            deployment.root.as_github(deployment.github_role, subject)


def test_that_role_may_do_all_that_cloudformation_does_with_it(deployment: Deployment) -> None:
    """By the resource types' own schemas: the emulator checks only the calls of the SAM CLI."""
    (schemas,) = ROOT.glob(".venv-sam/lib/*/site-packages/cfnlint/data/schemas")
    files = json.loads((schemas / "providers/us-east-1.json").read_text())
    needed: set[str] = set()
    for kind in {each["ResourceType"] for each in deployment.resources.values()} & files.keys():
        handlers = json.loads((schemas / f"resources/{files[kind]}.json").read_text())["handlers"]
        needed.update(
            action for name in handlers for action in handlers[name]["permissions"] if name != "list"
        )
    role = load_document(ROLE.read_text())["Resources"]["DeployRole"]["Properties"]
    (policy,) = role["Policies"]
    statements = policy["PolicyDocument"]["Statement"]
    allowed = [action for statement in statements for action in listed(statement["Action"])]
    assert "lambda:PublishLayerVersion" in needed
    assert {
        each for each in needed if not any(fnmatch(each, some) for some in [*allowed, *NOT_NEEDED])
    } == set()


def test_what_it_may_change_has_the_stack_s_name(deployment: Deployment) -> None:
    named = re.compile(rf"(^|[/:]){STACK}\b")
    # An API has only an id, and these are parts of something that has a name.
    others = ("AWS::ApiGatewayV2::", "AWS::Lambda::Permission", "AWS::Logs::MetricFilter", "Custom::")
    assert [
        each["PhysicalResourceId"]
        for each in deployment.resources.values()
        if not each["ResourceType"].startswith(others) and not named.search(each["PhysicalResourceId"])
    ] == []


def test_the_database_is_at_the_head(deployment: Deployment) -> None:
    assert deployment.invoke("Migrate", "migrate")["after"] == HEAD


def test_the_tables_are_the_migrator_s(deployment: Deployment) -> None:
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert execute(deployment.database_url, owners) == [["token_bundles_migrator"]]


def test_a_bundle_is_created_and_listed(deployment: Deployment) -> None:
    assert deployment.invoke("CreateTokenBundle", "create_token_bundle")["statusCode"] == 201
    listed = deployment.invoke("ListTokenBundles", "list_token_bundles")
    assert (listed["statusCode"], json.loads(listed["body"])["total"]) == (200, 1)


def test_the_log_has_the_metric_of_it(deployment: Deployment) -> None:
    (line,) = (line for line in deployment.log("CreateTokenBundle") if "_aws" in line)
    (metrics,) = line["_aws"]["CloudWatchMetrics"]
    assert metrics["Metrics"] == [{"Name": "BundlesCreated", "Unit": "Count"}]
    assert line["BundlesCreated"] == [1.0]


def test_the_same_once_more_is_no_change(deployment: Deployment) -> None:
    assert "No changes to deploy" in deployment.deploy()


def test_a_line_in_shared_reaches_every_function(deployment: Deployment) -> None:
    start, layers, versions = datetime.now(UTC), deployment.layers, deployment.live_versions
    deployment.checkout.add("shared/errors.py", "\nCHANGED = True\n")
    deployment.deploy()
    assert deployment.status == "UPDATE_COMPLETE"
    assert len(deployment.layers - layers) == len(deployment.layers) == 1
    assert {name for name, version in deployment.live_versions.items() if version == versions[name]} == set()
    assert {*ALIASES, "Migration"} <= deployment.touched_since(start)


def test_a_migration_that_fails_is_taken_back(deployment: Deployment) -> None:
    start, versions = datetime.now(UTC), deployment.live_versions
    deployment.checkout.add("migrations/versions/fails.py", FAILING)
    failed = deployment.checkout.deploy(deployment.github)
    assert failed.returncode != 0
    # The reason is where a person looks first.
    assert "division by zero" in failed.stdout
    assert deployment.status == "UPDATE_ROLLBACK_COMPLETE"
    assert deployment.live_versions == versions
    assert deployment.touched_since(start) & ALIASES <= {"MigrateAliaslive"}
    assert deployment.invoke("ListTokenBundles", "list_token_bundles")["statusCode"] == 200


def test_without_its_permission_a_function_has_no_password(deployment: Deployment) -> None:
    iam, resources = deployment.root.client("iam"), deployment.resources
    role, policy = (
        resources[name]["PhysicalResourceId"] for name in ("ListTokenBundlesRole", "DatabasePolicy")
    )
    iam.detach_role_policy(RoleName=role, PolicyArn=policy)
    # What runs keeps its connection; of this version nothing runs yet.
    assert deployment.invoke("ListTokenBundles", "list_token_bundles", "$LATEST")["statusCode"] == 503
    reasons = [line["exception"] for line in deployment.log("ListTokenBundles") if "exception" in line]
    assert "not authorized to perform: secretsmanager:GetSecretValue" in reasons[-1]
    iam.attach_role_policy(RoleName=role, PolicyArn=policy)


@pytest.mark.parametrize("commands", RUNBOOK, ids=lambda commands: commands.heading)
def test_the_runbook_s_commands_work(deployment: Deployment, commands: Commands) -> None:
    printed = run(commands, deployment.checkout.folder, deployment.operator)
    for said in TOLD.get(commands.heading, ()):
        assert said in printed


def test_only_aws_can_run_what_is_marked() -> None:
    assert [commands.heading for commands in blocks() if commands.only_aws] == [
        "First deploy", "Back up and restore", "Delete the stack",
    ]  # fmt: skip


@pytest.mark.skipif(KEEP, reason="KEEP=1 keeps the stack")
def test_a_delete_leaves_the_tables_and_nothing_else(deployment: Deployment) -> None:
    client = deployment.root.client
    for commands in DELETE:
        run(commands, deployment.checkout.folder, deployment.github.environment | PATH)
    left = {
        "functions": client("lambda").list_functions()["Functions"],
        "layers": client("lambda").list_layers()["Layers"],
        "roles": [each for each in client("iam").list_roles()["Roles"] if each["RoleName"].startswith(STACK)],
        "policies": client("iam").list_policies(Scope="Local")["Policies"],
        "logs": client("logs").describe_log_groups()["logGroups"],
        "alarms": client("cloudwatch").describe_alarms()["MetricAlarms"],
        "dashboards": client("cloudwatch").list_dashboards()["DashboardEntries"],
        "apis": client("apigatewayv2").get_apis()["Items"],
    }
    assert {kind for kind, found in left.items() if found} == set()
    assert execute(deployment.database_url, "SELECT count(*) FROM token_bundle") == [[1]]


def listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
