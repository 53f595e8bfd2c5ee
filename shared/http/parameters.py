"""What the parameters of an endpoint's function say of where in a request their values are."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple
from urllib.parse import parse_qs

from pydantic import AliasPath, BaseModel, Field, ValidationError, create_model

from shared.callers import Caller
from shared.errors import NotFoundError
from shared.http.body import MAX_KIBIBYTES, Body, read_body
from shared.http.conditional import Conditions
from shared.http.headers import Header
from shared.http.problems import InvalidRequestError


class Query(NamedTuple):
    """Marks a parameter that is a model of all query parameters."""


class Parameters:
    """The parameters of a function: the change, headers, the query, the body, else variables of the path.

    One pydantic model of all of them is made when the function is declared.
    """

    def __init__(self, function: Callable[..., Any], refused: Sequence[str] = ()) -> None:
        # Headers by which many at once would be taken for one.
        self.refused = [("header", name.lower()) for name in refused]
        declared = inspect.signature(function).parameters.values()
        self.sources = {parameter.name: _source(parameter) for parameter in declared}
        kinds = {parameter.name: parameter.annotation for parameter in declared}
        # Those that are made of a query and the caller.
        self.made = {name: kind for name, kind in kinds.items() if hasattr(kind, "query_model")}
        self.kinds = kinds | {name: kind.query_model for name, kind in self.made.items()}
        fields: dict[str, Any] = {
            parameter.name: (
                Annotated[self.kinds[parameter.name], Field(validation_alias=self.sources[parameter.name])],
                ... if parameter.default is parameter.empty else parameter.default,
            )
            for parameter in declared
        }
        self.body = next((kinds[name] for name, source in self.sources.items() if source == "body"), None)
        self.max_kibibytes = getattr(self.body, "MAX_KIBIBYTES", MAX_KIBIBYTES)
        self.model = create_model("Parameters", **fields)

    def arguments(self, event: Mapping[str, Any], caller: Caller) -> dict[str, Any]:
        """Read the arguments out of an event; raises what is wrong with the request, NotFoundError."""
        path = event.get("pathParameters") or {}
        # A greedy route serves the collection's address with a slash at its end, and nothing below it.
        if path.get("proxy"):
            raise NotFoundError
        body = Body() if self.body is None else read_body(event, self.body, self.max_kibibytes)
        wrong = [*body.errors]
        # In the parameters the values of a name that is given twice are joined by commas.
        if query := event.get("rawQueryString"):
            values = parse_qs(query, keep_blank_values=True)
            twice = [("query", name) for name, given in values.items() if len(given) > 1]
            wrong += [{"type": "duplicate", "loc": loc} for loc in twice]
        wrong += [{"type": "not_for_many", "loc": loc} for loc in self.refused if loc[1] in event["headers"]]
        errors: dict[Any, Mapping[str, Any]] = {error["loc"]: error for error in wrong}
        request = {
            "path": path,
            "query": event.get("queryStringParameters") or {},
            "header": event["headers"],
            "body": body.members,
        }
        context = {"caller": caller, "path": path, "rows": body.rows}
        try:
            model = self.model.model_validate(request, context=context)
        except ValidationError as invalid:
            found = invalid.errors(include_url=False, include_input=False)
            errors |= {error["loc"]: error for error in found if error["loc"][:2] not in errors}
        if wrong := [error for error in errors.values() if error["loc"][0] != "path"]:
            raise InvalidRequestError(wrong, body.rows)
        if errors:
            raise NotFoundError
        given: dict[str, Any] = vars(model)
        return given | {name: kind(caller, **vars(given[name])) for name, kind in self.made.items()}


def _source(parameter: inspect.Parameter) -> str | AliasPath:
    """Where in the request the argument is, which is also where an error in it is said to be."""
    annotation = parameter.annotation
    if hasattr(annotation, "query_model"):
        return "query"
    for mark in getattr(annotation, "__metadata__", ()):
        if isinstance(mark, Header):
            return AliasPath("header", mark.name.lower())
        if isinstance(mark, Query):
            return "query"
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return "header" if issubclass(annotation, Conditions) else "body"
    return AliasPath("path", parameter.name)
