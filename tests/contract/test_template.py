"""What linters do not notice in the template; each check is shown to find what is broken."""

import copy
import datetime
import re
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import yaml

from dev.gateway.template import load_document
from dev.local import ROOT, TEMPLATE
from shared.settings import Settings
from tests.client import PUBLIC, READ

Document = dict[str, Any]
Check = Callable[[Document], Iterator[str]]
Grants = set[tuple[str, str]]

DOCUMENT = load_document(TEMPLATE.read_text())
SETTINGS = {name.upper() for name, setting in vars(Settings).items() if isinstance(setting, cached_property)}
SCOPES = {"READ_SCOPE": "${ReadScope}", "WRITE_SCOPE": "${WriteScope}"}
DROPPED = object()

ACCOUNT = "${AWS::Region}:${AWS::AccountId}"
# A shared subnet is in the account that shares it.
ANY_INTERFACE = "arn:${AWS::Partition}:ec2:${AWS::Region}:*:*/*"
CLOUDFORMATION_ANSWERS = "arn:${AWS::Partition}:s3:::cloudformation-custom-resource-response-*/*"
NETWORK = {
    ("ec2:DescribeNetworkInterfaces", "*"),
    ("ec2:DescribeSubnets", "*"),
    ("ec2:AssignPrivateIpAddresses", ANY_INTERFACE),
    ("ec2:CreateNetworkInterface", ANY_INTERFACE),
    ("ec2:DeleteNetworkInterface", ANY_INTERFACE),
    ("ec2:UnassignPrivateIpAddresses", ANY_INTERFACE),
}
# By default Postgres takes 100 and keeps three of them for superusers; people and monitoring want some, too.
CONNECTIONS, CONNECTIONS_OF_OTHERS = 100, 13
PUBLIC_ENDPOINTS, MIGRATIONS_AT_ONCE = 2, 2
WITH_WILDCARDS = {*NETWORK, ("s3:PutObject", CLOUDFORMATION_ANSWERS)}


def resources(document: Document, kind: str) -> dict[str, Document]:
    return {
        name: resource.get("Properties", {})
        for name, resource in document["Resources"].items()
        if resource["Type"] == kind
    }


def functions(document: Document) -> dict[str, Document]:
    common = document["Globals"]["Function"]
    own = resources(document, "AWS::Serverless::Function")
    return {name: merged(common, properties) for name, properties in own.items()}


def merged(common: Any, own: Any) -> Any:
    if not (isinstance(common, dict) and isinstance(own, dict)):
        return own
    return common | {name: merged(common.get(name), value) for name, value in own.items()}


def routes(document: Document) -> Iterator[tuple[str, Document]]:
    for name, function in functions(document).items():
        for event in function.get("Events", {}).values():
            yield name, event["Properties"]


def text(value: Any) -> str:
    """Write a value that only a deployment knows as `!Sub` would have it."""
    match value:
        case {"Fn::Sub": str(inner)}:
            return inner
        case {"Ref": name}:
            return f"${{{text(name)}}}"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"${{{text(name)}.{attribute}}}"
        case {"Fn::GetAtt": name}:
            return f"${{{name}}}"
    return str(value)


def target(document: Document, value: Any) -> Document:
    """Return the properties of the resource that the value refers to."""
    name = text(value).strip("${}").removesuffix(".Arn")
    properties: Document = document["Resources"].get(name, {}).get("Properties", {})
    return properties


def statements(value: Any) -> Iterator[Document]:
    """Find what is allowed on resources anywhere in the value."""
    match value:
        case {"Effect": "Allow", "Resource": _}:
            yield value
        case dict() | list():
            for item in value.values() if isinstance(value, dict) else value:
                yield from statements(item)


def grants(value: Any) -> Grants:
    """Collect the actions and resources that are allowed anywhere in the value."""
    return {
        (action, text(item))
        for statement in statements(value)
        for action in listed(statement["Action"])
        for item in listed(statement["Resource"])
    }


def listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def needed(name: str) -> Grants:
    """Return all that a function needs: to be in the VPC, its database role, its log."""
    prefix = "Migration" if name == "Migrate" else ""
    user = f"${{{prefix}DatabaseResourceId}}/${{{prefix}DatabaseUser}}"
    return {
        *NETWORK,
        ("rds-db:connect", f"arn:${{AWS::Partition}}:rds-db:{ACCOUNT}:dbuser:{user}"),
        ("secretsmanager:GetSecretValue", f"${{{prefix}DatabaseSecretArn}}"),
        ("kms:Decrypt", f"${{{prefix}DatabaseSecretKeyArn}}"),
        ("logs:CreateLogStream", f"${{{name}Logs.Arn}}"),
        ("logs:PutLogEvents", f"${{{name}Logs.Arn}}"),
    }


def each_route_wants_a_token_with_its_scope(document: Document) -> Iterator[str]:
    for api in resources(document, "AWS::Serverless::HttpApi").values():
        auth = api.get("Auth", {})
        if "JwtConfiguration" not in auth.get("Authorizers", {}).get(auth.get("DefaultAuthorizer"), {}):
            yield "The API checks no token by default."
    for name, route in routes(document):
        auth = route.get("Auth", {})
        if f"{route['Method']} {route['Path']}" in PUBLIC:
            if auth != {"Authorizer": "NONE"} or not route.get("RouteSettings"):
                yield f"{name} wants a token, or has no throttling of its own."
            continue
        if "Authorizer" in auth:
            yield f"{name} has another authorizer than the default."
        access = "read" if route["Method"] == "GET" else "write"
        resource = route["Path"].removeprefix("/api/v1/admin/").partition("/")[0]
        scope = SCOPES[f"{access.upper()}_SCOPE"] if resource == "token-bundles" else f"{resource}:{access}"
        if [text(value) for value in auth.get("AuthorizationScopes", ())] != [scope]:
            yield f"{route['Method']} {route['Path']} does not want its scope."


def nothing_is_allowed_on_everything(document: Document) -> Iterator[str]:
    for action, resource in grants(document["Resources"]):
        if "*" in action + resource and (action, resource) not in WITH_WILDCARDS:
            yield f"{action} is allowed on {resource}."


def keys_are_for_secrets(document: Document) -> Iterator[str]:
    secrets = "secretsmanager.${AWS::Region}.${AWS::URLSuffix}"
    wanted = {"StringEquals": {"kms:ViaService": {"Fn::Sub": secrets}}}
    for statement in statements(document["Resources"]):
        of_keys = any(action.startswith("kms:") for action in listed(statement["Action"]))
        if of_keys and statement.get("Condition") != wanted:
            yield f"{text(statement['Resource'])} is not for secrets alone."


def each_function_is_in_the_vpc(document: Document) -> Iterator[str]:
    for name, function in functions(document).items():
        vpc = function.get("VpcConfig", {})
        if not (vpc.get("SubnetIds") and vpc.get("SecurityGroupIds")):
            yield f"{name} is not in the VPC."


def each_function_has_its_own_concurrency(document: Document) -> Iterator[str]:
    for name, function in functions(document).items():
        match function.get("ReservedConcurrentExecutions"):
            case {"Fn::If": ["ReservesConcurrency", _, {"Ref": "AWS::NoValue"}]}:
                continue
        yield f"{name} can use up the account's concurrency, or cannot do without its own."


def endpoints_of_admins(document: Document) -> set[str]:
    return {name for name, route in routes(document) if f"{route['Method']} {route['Path']}" not in PUBLIC}


def all_functions_at_once_fit_into_a_database(document: Document) -> Iterator[str]:
    endpoints = len(endpoints_of_admins(document))
    parameters = document["Parameters"]
    of_admins = endpoints * parameters["ReservedConcurrency"]["Default"]
    of_shop = PUBLIC_ENDPOINTS * parameters["CatalogueConcurrency"]["Default"]
    if of_admins + of_shop + MIGRATIONS_AT_ONCE > CONNECTIONS - CONNECTIONS_OF_OTHERS:
        yield f"{endpoints} endpoints make {of_admins} connections, and the shop {of_shop}."
    if functions(document)["Migrate"]["ReservedConcurrentExecutions"]["Fn::If"][1] != MIGRATIONS_AT_ONCE:
        yield "There are more migrations at once."


def each_handler_is_a_function_in_a_file(document: Document) -> Iterator[str]:
    for name, function in functions(document).items():
        module, _, attribute = function["Handler"].partition(".")
        code = ROOT / function["CodeUri"] / f"{module}.py"
        if not (code.is_file() and defines(code, attribute)):
            yield f"{name} has no {function['Handler']}."


def defines(path: Path, name: str) -> bool:
    return any(line.startswith((f"{name} =", f"def {name}(")) for line in path.read_text().splitlines())


def each_function_has_the_variables_of_the_settings(document: Document) -> Iterator[str]:
    for name, function in functions(document).items():
        for variable in function["Environment"]["Variables"].keys() ^ (SETTINGS | SCOPES.keys()):
            yield f"{name} and the settings differ in {variable}."


def each_endpoint_waits_for_the_migration(document: Document) -> Iterator[str]:
    for name in dict(routes(document)):
        if document["Resources"][name].get("DependsOn") != "Migration":
            yield f"{name} does not wait for the migration."
    migration = document["Resources"]["Migration"]
    # SAM makes the last of these of the function's EventInvokeConfig.
    needs = [*map(text, migration["Properties"].values()), *listed(migration.get("DependsOn", ()))]
    for value in ("${Migrate.Alias}", "${Migrate.Version}", "MigrateEventInvokeConfig"):
        if value not in needs:
            yield f"The migration does not depend on {value}."


def each_change_is_published(document: Document) -> Iterator[str]:
    for name, function in functions(document).items():
        if not (function.get("AutoPublishAlias") and function.get("AutoPublishAliasAllProperties") is True):
            yield f"{name} has no alias that follows its changes."
    for name, layer in resources(document, "AWS::Serverless::LayerVersion").items():
        if layer.get("PublishLambdaVersion") is not True:
            yield f"A change of {name} alone publishes no function."


def each_log_is_kept_for_a_while(document: Document) -> Iterator[str]:
    for name, function in functions(document).items():
        logging = function.get("LoggingConfig", {})
        if logging.get("LogFormat") != "JSON" or text(logging.get("LogGroup")) != f"${{{name}Logs}}":
            yield f"{name} has no log of its own in JSON."
        if "RetentionInDays" not in target(document, logging.get("LogGroup")):
            yield f"The log of {name} is not kept for a set time."
    for api in resources(document, "AWS::Serverless::HttpApi").values():
        group = api.get("AccessLogSettings", {}).get("DestinationArn")
        if "RetentionInDays" not in target(document, group):
            yield "The access log is not kept for a set time."


def each_text_is_read_as_one(document: Document) -> Iterator[str]:
    for name, declared in document["Parameters"].items():
        values = [declared.get("Default", ""), *declared.get("AllowedValues", ())]
        if declared["Type"] != "Number" and not all(isinstance(value, str) for value in values):
            yield f"{name} has a value that is no text."
    for name, function in functions(document).items():
        for variable, value in function["Environment"]["Variables"].items():
            if not isinstance(value, str | dict):
                yield f"{variable} of {name} is no text."
    for path, value in leaves(document):
        if isinstance(value, datetime.date):
            yield f"{path} is a date."


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from leaves(item, f"{path}/{key}")
    else:
        yield path, value


def each_alarm_rings_for_this_stack_and_is_on_the_dashboard(document: Document) -> Iterator[str]:
    alarms = resources(document, "AWS::CloudWatch::Alarm")
    dashboard = str(document["Resources"]["Dashboard"])
    service = text(document["Globals"]["Function"]["Environment"]["Variables"]["SERVICE_NAME"])
    for name, alarm in alarms.items():
        metrics = [
            metric["MetricStat"]["Metric"] for metric in alarm.get("Metrics", ()) if "MetricStat" in metric
        ]
        for metric in metrics or [alarm]:
            dimensions = {of["Name"]: text(of["Value"]) for of in metric.get("Dimensions", ())}
            if not any("${" in value for value in (text(metric["MetricName"]), *dimensions.values())):
                yield f"{name} rings for every stack of the account."
            if dimensions.get("service", service) != service:
                yield f"{name} looks for another service than the functions say."
        # Of metrics that are late, FILL has long said that there are none.
        if "FILL" in str(alarm):
            yield f"{name} does not see metrics that are late."
        # There are too many of those of single functions.
        if not name.endswith("ThrottleAlarm") and f"{name}.Arn" not in dashboard:
            yield f"{name} is not on the dashboard."


def each_role_can_just_what_its_function_needs(document: Document) -> Iterator[str]:
    for name, function in functions(document).items():
        if "Policies" in function or text(function.get("Role")) != f"${{{name}Role.Arn}}":
            yield f"{name} has no role of its own."
            continue
        role = target(document, function["Role"])
        managed = {text(policy): target(document, policy) for policy in role.get("ManagedPolicyArns", ())}
        if not all(managed.values()):
            yield f"{name} has a policy from elsewhere."
        can = grants([role, *managed.values()])
        for action, resource in can ^ needed(name):
            yield f"{name} may {action} {resource} and need not, or the reverse."


GET = "Resources/GetTokenBundle/Properties"
GET_AUTH = f"{GET}/Events/Get/Properties/Auth"
SHOP = "Resources/ListCatalogue/Properties/Events/OnSale/Properties"
API = "Resources/AdminApi/Properties"
DATABASE_ALARM = "Resources/DatabaseErrorAlarm/Properties"
GLOBALS = "Globals/Function"
POLICY = "Resources/DatabasePolicy/Properties/PolicyDocument/Statement"
ROLE = "Resources/GetTokenBundleRole/Properties"
ALL = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
LOGGING_ROLE = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"

# Of each check what it must find: a value in a place of the template, and the problem that is named.
BROKEN: dict[Check, list[tuple[str, Any, str]]] = {
    each_route_wants_a_token_with_its_scope: [
        (f"{API}/Auth/DefaultAuthorizer", DROPPED, "checks no token"),
        (f"{API}/Auth/Authorizers/Jwt", {}, "checks no token"),
        (f"{GET_AUTH}/Authorizer", "NONE", "another authorizer"),
        (GET_AUTH, DROPPED, "not want its scope"),
        (f"{GET_AUTH}/AuthorizationScopes", [READ], "not want its scope"),
        (f"{GET_AUTH}/AuthorizationScopes", [{"Ref": "WriteScope"}], "not want its scope"),
        (f"{SHOP}/Auth", DROPPED, "ListCatalogue wants a token"),
        (f"{SHOP}/RouteSettings", DROPPED, "no throttling of its own"),
    ],
    nothing_is_allowed_on_everything: [
        (f"{POLICY}/0", ALL, "s3:GetObject is allowed on *"),
        (f"{POLICY}/0", {**ALL, "Resource": ["a", "*"]}, "is allowed on *"),
        (f"{POLICY}/0", {**ALL, "Action": "*", "Resource": "a"}, "* is allowed on a"),
    ],
    keys_are_for_secrets: [
        (
            f"{POLICY}/0",
            {"Effect": "Allow", "Action": "kms:Decrypt", "Resource": "a"},
            "a is not for secrets",
        ),
    ],
    each_function_is_in_the_vpc: [
        (f"{GLOBALS}/VpcConfig", DROPPED, "Migrate is not"),
        (f"{GET}/VpcConfig", {"SubnetIds": []}, "GetTokenBundle is not"),
    ],
    each_function_has_its_own_concurrency: [
        (f"{GLOBALS}/ReservedConcurrentExecutions", DROPPED, "GetTokenBundle can use up"),
        ("Resources/Migrate/Properties/ReservedConcurrentExecutions", 2, "Migrate can use up"),
    ],
    all_functions_at_once_fit_into_a_database: [
        ("Parameters/ReservedConcurrency/Default", CONNECTIONS, "connections, and the shop"),
        ("Parameters/CatalogueConcurrency/Default", CONNECTIONS, "the shop 200"),
        ("Resources/Migrate/Properties/ReservedConcurrentExecutions/Fn::If/1", 3, "more migrations"),
    ],
    each_handler_is_a_function_in_a_file: [
        (f"{GET}/Handler", "missing.handler", "no missing.handler"),
        (f"{GET}/Handler", "get_token_bundle.run", "no get_token_bundle.run"),
        (f"{GET}/CodeUri", "shared/", "no get_token_bundle"),
    ],
    each_function_has_the_variables_of_the_settings: [
        (f"{GLOBALS}/Environment/Variables/X", "1", "differ in X"),
        (f"{GLOBALS}/Environment/Variables/LOG_LEVEL", DROPPED, "differ in LOG_LEVEL"),
    ],
    each_endpoint_waits_for_the_migration: [
        ("Resources/GetTokenBundle/DependsOn", DROPPED, "GetTokenBundle does not wait"),
        ("Resources/Migration/Properties/CodeVersion", DROPPED, "not depend on ${Migrate.Version}"),
        ("Resources/Migration/DependsOn", DROPPED, "not depend on MigrateEventInvokeConfig"),
    ],
    each_change_is_published: [
        (f"{GLOBALS}/AutoPublishAliasAllProperties", DROPPED, "no alias"),
        ("Resources/SharedLayer/Properties/PublishLambdaVersion", False, "SharedLayer alone"),
    ],
    each_log_is_kept_for_a_while: [
        (f"{GET}/LoggingConfig/LogGroup", DROPPED, "no log of its own"),
        (f"{GLOBALS}/LoggingConfig/LogFormat", "Text", "in JSON"),
        ("Resources/GetTokenBundleLogs", {"Type": "Other"}, "not kept"),
        (f"{API}/AccessLogSettings", DROPPED, "access log"),
    ],
    each_text_is_read_as_one: [
        ("Parameters/SnapStart/Default", None, "SnapStart has a value"),
        ("Parameters/DatabasePooled/AllowedValues", [True, "false"], "DatabasePooled has a value"),
        (f"{GLOBALS}/Environment/Variables/DATABASE_POOLED", False, "DATABASE_POOLED of GetTokenBundle"),
        (
            "Resources/DatabasePolicy/Properties/PolicyDocument/Version",
            datetime.date(2012, 10, 17),
            "is a date",
        ),
    ],
    each_alarm_rings_for_this_stack_and_is_on_the_dashboard: [
        (f"{DATABASE_ALARM}/Dimensions/0/Value", "token-bundles", "DatabaseErrorAlarm rings for every stack"),
        (f"{DATABASE_ALARM}/Dimensions", DROPPED, "DatabaseErrorAlarm rings for every stack"),
        (f"{GLOBALS}/Environment/Variables/SERVICE_NAME", "token-bundles", "another service"),
        (
            "Resources/ServerErrorAlarm/Properties/Metrics/1/MetricStat/Metric/Dimensions",
            [],
            "rings for every",
        ),
        ("Resources/ServerErrorAlarm/Properties/Metrics/0/Expression", "FILL(errors, 0)", "that are late"),
        (
            "Resources/Other",
            {"Type": "AWS::CloudWatch::Alarm", "Properties": {"MetricName": "x"}},
            "Other is not on",
        ),
    ],
    each_role_can_just_what_its_function_needs: [
        (f"{GET}/Role", DROPPED, "no role of its own"),
        (f"{GET}/Policies", [LOGGING_ROLE], "no role of its own"),
        (f"{ROLE}/ManagedPolicyArns/0", LOGGING_ROLE, "a policy from elsewhere"),
        (f"{ROLE}/Policies/0/PolicyDocument/More", ALL, "may s3:"),
        (f"{ROLE}/Policies", DROPPED, "may logs:PutLogEvents"),
    ],
}


@pytest.mark.parametrize("check", BROKEN)
def test_the_template(check: Check) -> None:
    assert list(check(DOCUMENT)) == []


@pytest.mark.parametrize(
    ("check", "place", "value", "problem"),
    [(check, *found) for check, wanted in BROKEN.items() for found in wanted],
)
def test_each_check_finds_what_is_broken(check: Check, place: str, value: Any, problem: str) -> None:
    assert any(problem in found for found in check(broken(place, value)))


def test_the_runbook_tells_the_concurrency_of_all() -> None:
    endpoints = len(endpoints_of_admins(DOCUMENT))
    each = DOCUMENT["Parameters"]["ReservedConcurrency"]["Default"]
    of_shop = DOCUMENT["Parameters"]["CatalogueConcurrency"]["Default"]
    at_once = endpoints * each + PUBLIC_ENDPOINTS * of_shop + MIGRATIONS_AT_ONCE
    sign = "\N{MULTIPLICATION SIGN}"
    of_each = f"{endpoints} {sign} {each} + {PUBLIC_ENDPOINTS} {sign} {of_shop} + {MIGRATIONS_AT_ONCE}"
    told = f"{of_each} = {at_once} now"
    assert told in (ROOT / "docs/runbook.md").read_text()


LOOP = """
Fn::ForEach::Things:
  - Thing
  - [A, B]
  - ${Thing}Role:
      Name: !Sub the-${Thing}
      Other: {Fn::Sub: "${Thing}"}
"""


def test_a_loop_has_its_variable_where_cloudformation_replaces_it() -> None:
    assert list(unreplaced(LOOP)) == []
    assert list(unreplaced(LOOP.replace("!Sub ", ""))) == ["the-${Thing}"]
    assert list(unreplaced(LOOP.replace("{Fn::Sub: ", "{Other: "))) == ["${Thing}"]
    assert list(unreplaced(TEMPLATE.read_text())) == []


def unreplaced(template: str) -> Iterator[str]:
    """Find the values in loops, which `load_document` unrolls, that CloudFormation leaves as they are."""
    for loop in loops(yaml.compose(template, yaml.SafeLoader)):
        variable, _, body = loop.value
        yield from (value for value in plain_values(body) if f"${{{variable.value}}}" in value)


def loops(node: yaml.Node | None) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value.startswith("Fn::ForEach::"):
                yield value
            yield from loops(value)


def plain_values(node: yaml.Node) -> Iterator[str]:
    match node:
        case yaml.ScalarNode() if node.tag != "!Sub":
            yield node.value
        case yaml.SequenceNode():
            for item in node.value:
                yield from plain_values(item)
        case yaml.MappingNode():
            for key, value in node.value:
                if key.value != "Fn::Sub":
                    yield from plain_values(value)


SECRETS = {"DatabaseSecretArn": "a", "MigrationDatabaseSecretArn": "b"}


@pytest.mark.parametrize(
    ("given", "refused"),
    [
        ({"DatabaseAuth": "secret", **SECRETS}, []),
        ({"DatabaseAuth": "iam", **SECRETS}, ["DatabaseResourceId", "MigrationDatabaseResourceId"]),
        ({"DatabaseAuth": "secret"}, [*SECRETS]),
        ({"S3EndpointVpcId": "vpc-1", "S3EndpointRouteTableIds": "rtb-1,rtb-2"}, []),
        ({"S3EndpointVpcId": "vpc-1"}, ["S3EndpointRouteTableIds"]),
        ({"S3EndpointRouteTableIds": "rtb-1"}, ["S3EndpointVpcId"]),
    ],
)
def test_what_is_missing_is_refused(given: dict[str, str], refused: list[str]) -> None:
    parameters = {name: declared.get("Default") for name, declared in DOCUMENT["Parameters"].items()} | given
    told = [
        assertion["AssertDescription"]
        for rule in DOCUMENT["Rules"].values()
        if holds(rule.get("RuleCondition", True), parameters)
        for assertion in rule["Assertions"]
        if not holds(assertion["Assert"], parameters)
    ]
    assert [re.search(r"needs (\w+)", sentence)[1] for sentence in told] == refused  # type: ignore[index]


def holds(value: Any, parameters: Document) -> Any:
    """Evaluate a condition of a rule."""
    match value:
        case {"Ref": name}:
            return parameters[name]
        case {"Fn::Equals": [first, second]}:
            return holds(first, parameters) == holds(second, parameters)
        case {"Fn::Not": [inner]}:
            return not holds(inner, parameters)
        case {"Fn::Or": choices}:
            return any(holds(choice, parameters) for choice in choices)
    return value


def broken(place: str, value: Any) -> Document:
    """Return a copy of the template with another value in a place, or without it."""
    document = copy.deepcopy(DOCUMENT)
    *path, last = [int(part) if part.isdecimal() else part for part in place.split("/")]
    parent: Any = document
    for part in path:
        parent = parent[part]
    if value is DROPPED:
        del parent[last]
    else:
        parent[last] = value
    return document
