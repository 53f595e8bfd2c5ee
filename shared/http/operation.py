"""What the function of a route wants to know of a request, and how to read it out of an event."""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Annotated, Any, NamedTuple, get_args, get_origin

from pydantic import AliasPath, Field, ValidationError, create_model

from shared.errors import NotFoundError
from shared.http.body import read_json_object
from shared.http.problems import InvalidRequestError
from shared.http.response import Response

Event = Mapping[str, Any]


class Header(NamedTuple):
    """Marks an argument that is the value of a header."""

    name: str
    description: str
    example: str | None = None


class Query(NamedTuple):
    """Marks an argument that is a model of all query parameters."""


class Operation:
    """A function, and the requests that it answers.

    One pydantic model of all its arguments is made of the annotations when the function is declared.
    """

    def __init__(
        self, method: str, rule: str, function: Callable[..., Response[Any]], description: Mapping[str, Any]
    ) -> None:
        """Read what the function wants in the rule, such as `/things/{thing_id}`, and its annotations."""
        self.method = method
        self.rule = rule
        self.function = function
        self.description = description
        self._path = re.compile(re.sub(r"{(\w+)}", r"(?P<\1>[^/]+)", rule))
        parameters = inspect.signature(function).parameters.values()
        self._names = [parameter.name for parameter in parameters]
        sources = [self._source(parameter) for parameter in parameters]
        self._has_body = "body" in sources
        fields: dict[str, Any] = {
            parameter.name: (parameter.annotation, _field(source, parameter.default))
            for parameter, source in zip(parameters, sources, strict=True)
        }
        self._arguments = create_model("Arguments", **fields)

    def match(self, method: str, path: str) -> Mapping[str, str] | None:
        """Return the values of the path's variables, or None when the request is for another operation."""
        found = self._path.fullmatch(path) if method == self.method else None
        return found.groupdict() if found else None

    def answer(self, event: Event, path: Mapping[str, str]) -> Response[Any]:
        """Call the function with what it wants of the event; raises InvalidRequestError, ApiError."""
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        request = {
            "path": path,
            "query": event.get("queryStringParameters") or {},
            "header": headers,
            "body": read_json_object(event, headers.get("content-type", "")) if self._has_body else None,
        }
        try:
            arguments = self._arguments.model_validate(request)
        except ValidationError as invalid:
            errors = invalid.errors(include_url=False, include_input=False)
            if any(error["loc"][0] == "path" for error in errors):
                raise NotFoundError from invalid
            raise InvalidRequestError(errors) from invalid
        return self.function(**{name: getattr(arguments, name) for name in self._names})

    def _source(self, parameter: inspect.Parameter) -> str | AliasPath:
        """Where in the request the argument is, which is also where an error in it is said to be."""
        if parameter.name in self._path.groupindex:
            return AliasPath("path", parameter.name)
        annotation = parameter.annotation
        for marker in get_args(annotation)[1:] if get_origin(annotation) is Annotated else ():
            if isinstance(marker, Header):
                return AliasPath("header", marker.name.lower())
            if isinstance(marker, Query):
                return "query"
        return "body"


def _field(source: str | AliasPath, default: Any) -> Any:
    required = default is inspect.Parameter.empty
    return Field(validation_alias=source) if required else Field(default, validation_alias=source)
