"""Reads from the SAM template what the local gateway needs: routes, authorizer, CORS, environment."""

import importlib
import json
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.alias_generators import to_pascal

from dev.local import AUDIENCE, ISSUER, TEMPLATE, UserError

_PSEUDO_PARAMETERS = {
    "AWS::AccountId": "123456789012",
    "AWS::Partition": "aws",
    "AWS::Region": "local",
    "AWS::StackName": "local",
    "AWS::URLSuffix": "localhost",
}
_ORIGIN = r"https?://([a-z0-9.-]+|\[[0-9a-f:]+\])(:\d{1,5})?"
_FRONTEND = "http://localhost:5173"
_ON_THIS_MACHINE = r"https?://(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?"
_DEFAULT_TIMEOUT_SECONDS = 3
_DEFAULT_MEMORY_MB = 128


class TemplateError(UserError):
    """The template has something that the local gateway cannot stand in for; the message says what."""


@dataclass(frozen=True)
class Function:
    """A function that has a route."""

    name: str
    handler: str
    timeout: float
    memory: int

    @property
    def module(self) -> str:
        """The module that the handler is in."""
        return self.handler.rpartition(".")[0]

    def load(self) -> Any:
        """Import the handler; the folder of the functions must be on the path."""
        return getattr(importlib.import_module(self.module), self.handler.rpartition(".")[2])


@dataclass(frozen=True)
class Route:
    """A method and a path, the function that answers them, and what a token must hold."""

    method: str
    path: str
    function: Function
    scopes: tuple[str, ...]
    authorized: bool

    @property
    def key(self) -> str:
        """API Gateway's name of the route, such as `GET /things/{id}`."""
        return f"{self.method} {self.path}"

    @property
    def specificity(self) -> tuple[bool, list[int]]:
        """What API Gateway tries routes by, the lowest first: a greedy one only after all others."""
        kinds = [segment.startswith("{") + segment.endswith("+}") for segment in self.path.split("/")]
        return self.path.endswith("+}"), kinds

    @cached_property
    def pattern(self) -> re.Pattern[str]:
        """Its path as an expression: a greedy variable takes the rest, with its slashes and even if empty."""
        pattern = re.sub(r"\\{[^/]+\\\+\\}", "(.*)", re.escape(self.path))
        return re.compile(re.sub(r"\\{[^/]+\\}", "([^/]+)", pattern), re.DOTALL)

    def path_parameters(self, path: str) -> dict[str, str] | None:
        """The parameters that a request's path gives, None when it is not a path of this route."""
        match = self.pattern.fullmatch(path)
        names = re.findall(r"{([^/]+?)\+?}", self.path)
        return dict(zip(names, match.groups(), strict=True)) if match else None


@dataclass(frozen=True)
class Authorizer:
    """The JWT authorizer: who must have issued a token, and for whom."""

    issuer: str
    audiences: tuple[str, ...]


class Cors(BaseModel, alias_generator=to_pascal, frozen=True):
    """Which other origins a browser may call the API from, and how."""

    allow_origins: tuple[str, ...] = ()
    allow_origin_regex: str | None = None
    allow_methods: tuple[str, ...] = ()
    allow_headers: tuple[str, ...] = ()
    expose_headers: tuple[str, ...] = ()
    max_age: int = 0
    allow_credentials: bool = False


@dataclass(frozen=True)
class Template:
    """What an HTTP API and its functions are deployed from."""

    routes: tuple[Route, ...]
    authorizer: Authorizer | None
    cors: Cors | None
    environment: Mapping[str, str]
    code_folder: Path

    def route(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route of a request and the parameters in its path: the most specific one that matches."""
        for route in self._most_specific_first:
            if route.method == method and (parameters := route.path_parameters(path)) is not None:
                return route, parameters
        return None

    @cached_property
    def _most_specific_first(self) -> list[Route]:
        return sorted(self.routes, key=lambda route: route.specificity)


def local_template() -> Template:
    """Read the template with local values; the variable ALLOWED_ORIGINS sets AllowedOrigins, and so on.

    Without that, every origin on this machine is allowed. Raises TemplateError.
    """
    template = read_template(TEMPLATE, _local_parameter)
    if not template.cors:
        return template
    if not os.environ.get("ALLOWED_ORIGINS"):
        cors = template.cors.model_copy(update={"allow_origin_regex": _ON_THIS_MACHINE})
        return replace(template, cors=cors)
    for origin in template.cors.allow_origins:
        wrong = f"ALLOWED_ORIGINS has {origin}, which is no origin: write one as http://localhost:5173,"
        _require(bool(re.fullmatch(_ORIGIN, origin)), f"{wrong} without a path, and several with commas.")
    return template


def _local_parameter(name: str) -> str | None:
    fixed = {"JwtIssuer": ISSUER, "JwtAudience": AUDIENCE}.get(name)
    given = os.environ.get(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper())
    return fixed or given or {"AllowedOrigins": _FRONTEND}.get(name)


def read_template(path: Path, parameter: Callable[[str], str | None]) -> Template:
    """Read the template, with the values that `parameter` gives before the parameters' own defaults.

    Raises TemplateError for what the local gateway cannot stand in for.
    """
    try:
        return _Reader(load_document(path.read_text()), parameter, path.parent).read()
    except TemplateError as error:
        raise TemplateError(f"{path.name}: {error}") from error
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise TemplateError(f"{path.name}{line}: {error.problem or error}.") from error
    except (yaml.YAMLError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise TemplateError(
            f"{path.name} cannot be read; `sam validate --lint` may say why: {error!r}"
        ) from error


def load_document(text: str) -> dict[str, Any]:
    """Load a template, with `!Ref` and the like in long form and loops of resources unrolled."""
    document: dict[str, Any] = yaml.load(text, _Loader)  # noqa: S506 (it is a SafeLoader)
    return document | {"Resources": _unrolled(document.get("Resources", {}))}


def _unrolled(resources: dict[str, Any]) -> dict[str, Any]:
    unrolled: dict[str, Any] = {}
    for name, resource in resources.items():
        if name.startswith("Fn::ForEach::"):
            variable, values, body = resource
            for value in values:
                unrolled |= json.loads(json.dumps(body).replace(f"${{{variable}}}", value))
        else:
            unrolled[name] = resource
    return unrolled


class _Loader(yaml.SafeLoader):
    """Reads `!Ref X` as `{"Ref": X}` and `!Sub X` as `{"Fn::Sub": X}`."""


def _long_form(loader: _Loader, suffix: str, node: yaml.Node) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        value: Any = loader.construct_scalar(node)
    elif isinstance(node, yaml.SequenceNode):
        value = loader.construct_sequence(node, deep=True)
    else:
        value = loader.construct_mapping(node, deep=True)  # type: ignore[arg-type]
    return {suffix if suffix in {"Ref", "Condition"} else f"Fn::{suffix}": value}


_Loader.add_multi_constructor("!", _long_form)


class _Reader:
    def __init__(
        self, document: dict[str, Any], parameter: Callable[[str], str | None], folder: Path
    ) -> None:
        self.resources: dict[str, Any] = document.get("Resources", {})
        self.globals: dict[str, Any] = document.get("Globals", {})
        self.parameters = {
            name: value
            for name, declared in document.get("Parameters", {}).items()
            if (value := _value(declared, parameter(name))) is not None
        }
        self.folder = folder

    def read(self) -> Template:
        api_name, api = self._api()
        authorizers = self._resolve(api.get("Auth", {}).get("Authorizers", {}))
        default = api.get("Auth", {}).get("DefaultAuthorizer")
        functions = self._functions_with_routes(api_name)
        return Template(
            routes=tuple(
                self._route(name, properties, event, default)
                for name, properties in functions.items()
                for event in self._http_events(properties, api_name)
            ),
            authorizer=_authorizer(default, authorizers[default]) if default else None,
            cors=_cors(self._resolve(api.get("CorsConfiguration"))),
            environment=self._environment(functions),
            code_folder=self._code_folder(functions),
        )

    def _api(self) -> tuple[str, dict[str, Any]]:
        apis = self._declared("HttpApi")
        _require(len(apis) == 1, f"it has {len(apis)} HTTP APIs, the gateway needs exactly one.")
        name, api = apis.popitem()
        stage = api.get("StageName", "$default")
        _require(stage == "$default", f"{name} has the stage {stage}, the gateway knows only $default.")
        return name, api

    def _functions_with_routes(self, api_name: str) -> dict[str, dict[str, Any]]:
        functions = self._declared("Function").items()
        return {name: function for name, function in functions if self._http_events(function, api_name)}

    def _declared(self, kind: str) -> dict[str, dict[str, Any]]:
        return {
            name: self.globals.get(kind, {}) | resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == f"AWS::Serverless::{kind}"
        }

    def _http_events(self, properties: dict[str, Any], api_name: str) -> list[dict[str, Any]]:
        events = [
            event["Properties"]
            for event in properties.get("Events", {}).values()
            if event["Type"] == "HttpApi"
        ]
        for event in events:
            known = event.get("ApiId") == {"Ref": api_name}
            _require(known, f"the event {event.get('Path')} has no `ApiId: !Ref {api_name}`.")
        return events

    def _route(
        self, name: str, properties: dict[str, Any], event: dict[str, Any], default_authorizer: str | None
    ) -> Route:
        method, path = str(event.get("Method", "ANY")).upper(), str(event.get("Path", "$default"))
        key = f"{method} {path}"
        catches_all = method in {"ANY", "X-AMAZON-APIGATEWAY-ANY-METHOD"} or not path.startswith("/")
        _require(not catches_all, f"{name} has the route {key}, the gateway knows no catch-all routes.")
        slash = "an HTTP API has no route that ends in a slash, {proxy+} there catches it."
        _require(path == "/" or not path.endswith("/"), f"{name} has the route {key}: {slash}")
        _require("+}" not in path[:-2], f"{key} has a greedy variable that is not at its end.")
        payload_format = event.get("PayloadFormatVersion", "2.0")
        _require(payload_format == "2.0", f"{key} has another payload format than 2.0.")
        auth = self._resolve(event.get("Auth", {}))
        authorizer = auth.get("Authorizer", default_authorizer or "NONE")
        known = authorizer in {default_authorizer, "NONE"}
        _require(known, f"{key} has the authorizer {authorizer}, the gateway knows only the default.")
        return Route(
            method=method,
            path=path,
            function=self._function(name, properties),
            scopes=tuple(auth.get("AuthorizationScopes", ())),
            authorized=authorizer != "NONE",
        )

    def _function(self, name: str, properties: dict[str, Any]) -> Function:
        runtime = self._resolve(properties.get("Runtime", "none"))
        python = runtime.startswith("python")
        _require(python, f"{name} has the runtime {runtime}, the gateway runs only Python.")
        handler = self._resolve(properties["Handler"])
        _require("." in handler, f"{name} has the handler {handler}, not one of the form module.attribute.")
        return Function(
            name=name,
            handler=handler.replace("/", "."),
            timeout=float(self._resolve(properties.get("Timeout", _DEFAULT_TIMEOUT_SECONDS))),
            memory=int(self._resolve(properties.get("MemorySize", _DEFAULT_MEMORY_MB))),
        )

    def _environment(self, functions: dict[str, dict[str, Any]]) -> dict[str, str]:
        """Collect the variables of all functions: they share one process here."""
        environment: dict[str, str] = {}
        common = self._variables(self.globals.get("Function", {}))
        for name, properties in functions.items():
            for variable, value in (common | self._variables(properties)).items():
                alike = environment.setdefault(variable, value) == value
                _require(alike, f"{name} has a {variable} of its own, but all share one process here.")
        return environment

    def _variables(self, properties: dict[str, Any]) -> dict[str, str]:
        variables = {}
        for name, value in properties.get("Environment", {}).get("Variables", {}).items():
            try:
                variables[name] = str(self._resolve(value))
            except TemplateError:
                continue  # known only to a deployment, such as the address of a resource
        return variables

    def _code_folder(self, functions: dict[str, dict[str, Any]]) -> Path:
        folders = {str(properties.get("CodeUri", ".")) for properties in functions.values()}
        places = " and ".join(sorted(folders))
        _require(len(folders) <= 1, f"its functions are in {places}, the gateway needs one folder.")
        return (self.folder / (folders.pop() if folders else ".")).resolve()

    def _resolve(self, value: Any) -> Any:
        """Put in what a deployment would."""
        match value:
            case {"Ref": name}:
                return self._parameter(name)
            case {"Fn::Sub": str(text)}:
                return re.sub(r"\$\{([^!}]+)\}", lambda match: str(self._parameter(match[1])), text)
            case dict() if len(value) == 1 and next(iter(value)).startswith("Fn::"):
                raise TemplateError(f"the gateway does not know what {next(iter(value))} gives here.")
            case dict():
                return {key: self._resolve(item) for key, item in value.items()}
            case list():
                return [self._resolve(item) for item in value]
            case _:
                return value

    def _parameter(self, name: str) -> str | list[str]:
        known = _PSEUDO_PARAMETERS | self.parameters
        _require(name in known, f"{name} is no parameter with a value, and the gateway deploys nothing.")
        return known[name]


def _value(declared: dict[str, Any], given: str | None) -> str | list[str] | None:
    value = declared.get("Default") if given is None else given
    if value is not None and declared["Type"] == "CommaDelimitedList":
        return [item.strip() for item in str(value).split(",")]
    return None if value is None else str(value)


def _authorizer(name: str, declared: dict[str, Any]) -> Authorizer:
    jwt = declared.get("JwtConfiguration", {})
    header = "$request.header.Authorization"
    known = jwt and declared.get("IdentitySource") == header
    _require(known, f"the authorizer {name} does not check a JWT in {header}.")
    return Authorizer(issuer=jwt["issuer"], audiences=tuple(jwt["audience"]))


def _cors(declared: Any) -> Cors | None:
    if not declared:
        return None
    _require(isinstance(declared, dict), "CorsConfiguration does not list origins, methods and headers.")
    return Cors.model_validate(declared)


def _require(condition: object, otherwise: str) -> None:
    if not condition:
        raise TemplateError(otherwise)
