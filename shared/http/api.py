"""The resolver that every function is made with."""

import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.event_handler.exceptions import NotFoundError as RouteNotFoundError
from aws_lambda_powertools.event_handler.middlewares import NextMiddleware
from aws_lambda_powertools.event_handler.middlewares.openapi_validation import (
    OpenAPIRequestValidationMiddleware,
)
from aws_lambda_powertools.event_handler.openapi.exceptions import RequestValidationError
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.data_classes import APIGatewayProxyEventV2
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic_core import to_json

from shared.callers import Caller
from shared.errors import ApiError, NotFoundError
from shared.http.body import read_json_object
from shared.http.idempotency import REPLAYED
from shared.http.problems import ForbiddenError, UnauthorizedError, problem, validation_problem
from shared.settings import settings

# Whom the database can tell apart: an entry in the index of the idempotency keys has at most 2,704 bytes.
STORABLE = re.compile("[^\0\ud800-\udfff]{0,510}")

# What the alarms and the dashboard look at, besides what each function counts when it succeeds.
COUNTED_FAILURES = {409: "Conflicts", 412: "Conflicts", 422: "Conflicts", 503: "DatabaseErrors"}

logger = Logger(service="token-bundles", level=settings.log_level)
metrics = Metrics(namespace="TokenBundles", service="token-bundles")


class Api(APIGatewayHttpResolver):
    """The routes of one function, for callers whose token has the scope."""

    current_event: APIGatewayProxyEventV2

    def __init__(self, scope: str, counts: str | None = None) -> None:
        """Answer 401 or 403 before anything else; `counts` is the metric of what was done."""
        super().__init__(serializer=lambda body: to_json(body).decode())
        self.scope = scope
        self.counts = counts
        self.use([_admit, RequestValidation()])
        self.exception_handler(ApiError)(self._answer_error)
        self.exception_handler(RouteNotFoundError)(lambda _: self._answer_error(NotFoundError()))
        self.exception_handler(RequestValidationError)(self._answer_invalid)
        self.exception_handler(Exception)(lambda _: self._answer_error(ApiError()))

    def resolve(self, event: Mapping[str, Any], context: LambdaContext) -> dict[str, Any]:
        """Answer one event of API Gateway (payload format 2.0)."""
        logger.append_keys(request_id=event["requestContext"].get("requestId"))
        # Given the raw query, Powertools takes the first of a repeated parameter and drops the others.
        # Without it the values stay joined by commas, as API Gateway sends them.
        answer = super().resolve({**event, "rawQueryString": ""}, context)
        logger.info("answered", route=event.get("routeKey"), status=answer["statusCode"])
        self._count(answer)
        return answer

    @property
    def caller(self) -> Caller:
        """Who sent the current request."""
        claims = self.claims
        return Caller(claims.get("sub"), claims.get("client_id") or claims.get("azp"), self._request_id)

    def _count(self, answer: Mapping[str, Any]) -> None:
        done = answer["statusCode"] < HTTPStatus.MULTIPLE_CHOICES and REPLAYED not in answer["headers"]
        metric = self.counts if done else COUNTED_FAILURES.get(answer["statusCode"])
        if metric:
            metrics.add_metric(metric, MetricUnit.Count, 1)
            metrics.flush_metrics()

    def _answer_error(self, error: ApiError) -> Response[str]:
        if error.status >= ApiError.status:
            logger.exception(error.detail)
        return problem(error, self._request_id)

    def _answer_invalid(self, error: RequestValidationError) -> Response[str]:
        errors = error.errors()
        if any(entry["loc"][0] == "path" for entry in errors):
            return problem(NotFoundError(), self._request_id)
        return validation_problem(errors, self._request_id)

    @property
    def claims(self) -> Mapping[str, Any]:
        """What the token of the current request says, as API Gateway has found it valid."""
        authorizer = self.current_event["requestContext"].get("authorizer") or {}
        claims = (authorizer.get("jwt") or {}).get("claims")
        return claims if isinstance(claims, Mapping) else {}

    @property
    def _request_id(self) -> str:
        return str(self.current_event["requestContext"].get("requestId", ""))


class RequestValidation(OpenAPIRequestValidationMiddleware):
    """Powertools' validation with the contract's rules for bodies."""

    def __init__(self) -> None:
        """Keep no state: one instance serves all requests."""

    def _get_body(self, app: Any) -> dict[str, Any]:
        return read_json_object(app.current_event)


# Powertools inspects a function once, and a bound method with each request.
def _admit(app: Api, next_middleware: NextMiddleware) -> Response[Any]:
    if not app.claims or not all(map(_is_storable, app.caller)):
        raise UnauthorizedError
    if app.scope not in _scopes(app.claims):
        raise ForbiddenError
    # Powertools' routes end in `$`, which matches before a line feed at the end, too.
    if "\n" in app.current_event.path:
        raise NotFoundError
    return next_middleware(app)


def _scopes(claims: Mapping[str, Any]) -> set[str]:
    """Collect the scopes of a token: API Gateway passes a claim that is a list as `[a b]`."""
    scopes: set[str] = set()
    for value in (claims.get("scope"), claims.get("scp")):
        if isinstance(value, str):
            scopes.update(value.strip("[]").split())
        elif isinstance(value, list):
            scopes.update(scope for scope in value if isinstance(scope, str))
    return scopes


def _is_storable(claim: object) -> bool:
    return claim is None or (isinstance(claim, str) and STORABLE.fullmatch(claim) is not None)
