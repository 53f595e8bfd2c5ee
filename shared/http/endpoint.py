"""An endpoint: a function that API Gateway has chosen for a request, and which does not know its address."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Literal

from aws_lambda_powertools import Metrics
from aws_lambda_powertools.metrics import MetricUnit

from shared import cold_start
from shared.errors import ApiError
from shared.http.claims import Event, anyone, authenticate, request_id
from shared.http.conditional import explained
from shared.http.parameters import Parameters
from shared.http.problems import problem
from shared.http.responses import REPLAYED, Response
from shared.logs import logger
from shared.settings import METRICS_NAMESPACE, settings

metrics = Metrics(namespace=METRICS_NAMESPACE, service=settings.service_name)

Function = Callable[..., Response[Any]]
Access = Literal["read", "write", "anyone"]


@dataclass
class Endpoint:
    """The handler of a Lambda function: claims, scope, arguments, the function itself, its response."""

    function: Function
    access: Access
    status: int
    metric: str | None
    raises: Sequence[type[ApiError]]
    refuses: Sequence[str]
    resource: str | None

    def __post_init__(self) -> None:
        self.name = self.function.__module__
        self.parameters = Parameters(self.function, self.refuses)
        cold_start.finish_init()

    @property
    def scope(self) -> str:
        """The scope that a token must have, by the issuer's name for it."""
        return settings.scope(self.access, self.resource)

    def __call__(self, event: Event, context: object) -> dict[str, Any]:
        """Respond to one event of API Gateway (payload format 2.0)."""
        logger.append_keys(
            function=self.name,
            request_id=request_id(event),
            function_request_id=getattr(context, "aws_request_id", None),
        )
        # API Gateway has them in small letters, but not each tool that stands in for it.
        headers = {name.lower(): value for name, value in (event.get("headers") or {}).items()}
        event = {**event, "headers": headers}
        response = self._respond(event)
        status = response.status or self.status
        # The access log has every request; the function's own has those that went wrong.
        log = logger.info if status >= HTTPStatus.BAD_REQUEST or response.told else logger.debug
        log("answered", route=event.get("routeKey"), status=status, **response.told)
        done = status < HTTPStatus.MULTIPLE_CHOICES and REPLAYED not in response.headers
        metric = (self.metric if done else None) or response.metric
        if metric and response.is_counted:
            metrics.add_metric(metric, MetricUnit.Count, 1)
            metrics.add_dimensions(service=settings.service_name, function=self.name)
            metrics.flush_metrics()
            # Where they are disabled, flushing keeps them until there are a hundred, and then prints them.
            metrics.clear_metrics()
        return response.for_api_gateway(status)

    def _respond(self, event: Event) -> Response[Any]:
        is_preview = False
        try:
            caller = anyone(event) if self.access == "anyone" else authenticate(event, self.scope)
            arguments = self.parameters.arguments(event, caller)
            is_preview = any(getattr(one, "validate_only", False) for one in arguments.values())
            response = _relative_to(event, self.function(**arguments))
            # Nothing has been created.
            return response._replace(status=HTTPStatus.OK, is_counted=False) if is_preview else response
        except Exception as caught:
            error = explained(caught, event["headers"]) if isinstance(caught, ApiError) else ApiError()
            is_ours = error.status >= ApiError.status
            if is_ours:
                logger.exception(error.detail)
            return problem(error, request_id(event))._replace(is_counted=is_ours or not is_preview)


def endpoint(
    *,
    access: Access,
    status: int = 200,
    metric: str | None = None,
    raises: Sequence[type[ApiError]] = (),
    refuses: Sequence[str] = (),
    resource: str | None = None,
) -> Callable[[Function], Endpoint]:
    """Make a function the handler of requests whose token has the scope for such access, or of anyone's.

    `metric` counts what was done; `raises` are the errors of its own that the API's document tells, `refuses`
    the headers that it cannot take; the scope is that of the `resource`, of token bundles when there is none.
    """
    return lambda function: Endpoint(function, access, status, metric, raises, refuses, resource)


def _relative_to(event: Event, response: Response[Any]) -> Response[Any]:
    """Make `Location`, which is within the collection, relative to the address of the request."""
    if "Location" not in response.headers:
        return response
    # Below the collection may be nothing, the slash at its end, or an item and what is done with it.
    collection, _, below = event.get("routeKey", "").partition("/{")
    base = "../" * below.count("/") if below else collection.rpartition("/")[2] + "/"
    return response._replace(headers={**response.headers, "Location": base + response.headers["Location"]})
