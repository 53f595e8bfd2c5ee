"""What the local gateway reads from a template, and what it says of one that it cannot stand in for."""

from collections.abc import Callable
from pathlib import Path

import pytest

from dev.gateway.template import Authorizer, Template, TemplateError, load_document, read_template

TEMPLATE = """
Parameters:
  Issuer: {Type: String}
  Origins: {Type: CommaDelimitedList, Default: "http://a, http://b"}
  Level: {Type: String, Default: INFO}
Globals:
  Function:
    Runtime: python3.13
    CodeUri: code/
    Timeout: 10
    Environment:
      Variables:
        LEVEL: !Ref Level
        NAME: !Sub "${AWS::StackName}-${Level}"
        HOST: !GetAtt Database.Endpoint.Address
Resources:
  Api:
    Type: AWS::Serverless::HttpApi
    Properties:
      Auth:
        DefaultAuthorizer: Jwt
        Authorizers:
          Jwt:
            IdentitySource: $request.header.Authorization
            JwtConfiguration: {issuer: !Ref Issuer, audience: [me]}
      CorsConfiguration: {AllowOrigins: !Ref Origins, AllowMethods: [GET], MaxAge: 60}
  Things:
    Type: AWS::Serverless::Function
    Properties:
      Handler: things.handler
      MemorySize: 512
      Environment: {Variables: {EXTRA: 1}}
      Events:
        One: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: get, Path: "/things/{id}"}}
        New: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: /things/new,
              Auth: {AuthorizationScopes: [read]}}}
        Other: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: "/things/{proxy+}",
                Auth: {Authorizer: NONE}}}
        Files: {Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: "/things/{id}/files/{file+}"}}
        Nightly: {Type: Schedule, Properties: {Schedule: rate(1 day)}}
  Job:
    Type: AWS::Serverless::Function
    Properties: {Handler: job.handler, Runtime: provided.al2023, CodeUri: job/}
"""


Reader = Callable[..., Template]


@pytest.fixture
def read(tmp_path: Path) -> Reader:
    """Read the template, with a text in it replaced by another."""

    def read(old: str = "", new: str = "", issuer: str | None = "https://issuer") -> Template:
        assert old in TEMPLATE
        path = tmp_path / "template.yaml"
        path.write_text(TEMPLATE.replace(old, new) if old else TEMPLATE)
        return read_template(path, {"Issuer": issuer}.get)

    return read


def test_everything_that_the_gateway_needs(read: Reader, tmp_path: Path) -> None:
    template = read()

    assert [(route.key, route.scopes, route.authorized) for route in template.routes] == [
        ("GET /things/{id}", (), True),
        ("GET /things/new", ("read",), True),
        ("GET /things/{proxy+}", (), False),
        ("GET /things/{id}/files/{file+}", (), True),
    ]
    function = template.routes[0].function
    assert (function.name, function.handler, function.module) == ("Things", "things.handler", "things")
    assert (function.timeout, function.memory) == (10, 512)
    assert template.authorizer == Authorizer("https://issuer", ("me",))
    assert template.cors
    assert (template.cors.allow_origins, template.cors.max_age) == (("http://a", "http://b"), 60)
    assert template.environment == {"LEVEL": "INFO", "NAME": "local-INFO", "EXTRA": "1"}
    assert template.code_folder == tmp_path / "code"


@pytest.mark.parametrize(
    ("path", "key", "parameters"),
    [
        ("/things/new", "GET /things/new", {}),
        ("/things/7", "GET /things/{id}", {"id": "7"}),
        ("/things/", "GET /things/{proxy+}", {"proxy": ""}),
        ("/things/new/", "GET /things/{proxy+}", {"proxy": "new/"}),
        ("/things/7//x/", "GET /things/{proxy+}", {"proxy": "7//x/"}),
        ("/things/7/files", "GET /things/{proxy+}", {"proxy": "7/files"}),
        ("/things/7/files/", "GET /things/{id}/files/{file+}", {"id": "7", "file": ""}),
        ("/things/7/files/a/b", "GET /things/{id}/files/{file+}", {"id": "7", "file": "a/b"}),
        ("/things//files/a", "GET /things/{proxy+}", {"proxy": "/files/a"}),
    ],
)
def test_a_request_takes_the_most_specific_route(
    read: Reader, path: str, key: str, parameters: dict[str, str]
) -> None:
    found = read().route("GET", path)

    assert found
    assert (found[0].key, found[1]) == (key, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/things"),
        ("HEAD", "/things/7"),
        ("get", "/things/7"),
        ("GET", "things/7"),
    ],
)
def test_other_requests_have_no_route(read: Reader, method: str, path: str) -> None:
    assert read().route(method, path) is None


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("Method: get", "Method: ANY", "no catch-all routes"),
        ("{id}/files", "{id+}/files", "greedy variable"),
        ("/things/{proxy+}", "/things/", r"no route that ends in a slash, \{proxy\+\} there catches it"),
        ("IdentitySource: $request.header.Authorization", "IdentitySource: $request.header.Token", "Jwt"),
        ("Authorizer: NONE", "Authorizer: Other", "the authorizer Other"),
        ("Path: /things/new,", "Path: /things/new, PayloadFormatVersion: '1.0',", "payload format"),
        ("AWS::Serverless::HttpApi", "AWS::Serverless::Api", "exactly one"),
        ("      CorsConfiguration", "      StageName: v1\n      CorsConfiguration", "stage v1"),
        ("Runtime: python3.13", "Runtime: nodejs22.x", "nodejs22.x"),
        ("AllowOrigins: !Ref Origins", "AllowOrigins: !Split [',', x]", "Fn::Split"),
        ("{AllowOrigins: !Ref Origins, AllowMethods: [GET], MaxAge: 60}", "true", "CorsConfiguration"),
        ("      Handler: things.handler\n", "", "Handler"),
        ("Globals:", "Globals: [", ", line [0-9]+: expected"),
    ],
)
def test_what_it_cannot_stand_in_for_is_a_sentence(read: Reader, old: str, new: str, sentence: str) -> None:
    with pytest.raises(TemplateError, match=rf"^template\.yaml.*{sentence}"):
        read(old, new)


def test_the_root_is_the_one_path_that_ends_in_a_slash(read: Reader) -> None:
    found = read("Path: /things/new,", "Path: /,").route("GET", "/")

    assert found
    assert found[0].key == "GET /"


def test_a_parameter_without_a_value(read: Reader) -> None:
    with pytest.raises(TemplateError, match="Issuer"):
        read(issuer=None)


def test_a_loop_of_resources_is_unrolled() -> None:
    document = load_document("""
Resources:
  Fn::ForEach::Functions:
    - Name
    - [One, Two]
    - ${Name}Role: {Type: AWS::IAM::Role, Properties: {RoleName: !Sub "${Name}"}}
  Other: {Type: AWS::IAM::Role}
""")

    assert document["Resources"] == {
        "OneRole": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": {"Fn::Sub": "One"}}},
        "TwoRole": {"Type": "AWS::IAM::Role", "Properties": {"RoleName": {"Fn::Sub": "Two"}}},
        "Other": {"Type": "AWS::IAM::Role"},
    }


def test_functions_that_differ_in_a_variable(read: Reader) -> None:
    event = '{Type: HttpApi, Properties: {ApiId: !Ref Api, Method: GET, Path: "/job"}}'
    old = "Handler: job.handler, Runtime: provided.al2023, CodeUri: job/"
    new = f"Handler: job.handler, Environment: {{Variables: {{EXTRA: 2}}}}, Events: {{Job: {event}}}"

    with pytest.raises(TemplateError, match="Job has a EXTRA of its own"):
        read(old, new)
