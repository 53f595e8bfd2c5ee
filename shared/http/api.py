"""The resolver that every function is made with."""

import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.event_handler import APIGatewayHttpResolver, Response
from aws_lambda_powertools.metrics import MetricUnit
from aws_lambda_powertools.utilities.typing import LambdaContext
from pydantic_core import to_json

from shared.callers import Caller
from shared.errors import ApiError, NotFoundError
from shared.http.idempotency import REPLAYED
from shared.http.operation import Event, Operation
from shared.http.problems import (
    ForbiddenError,
    InvalidRequestError,
    UnauthorizedError,
    problem,
    validation_problem,
)
from shared.settings import settings

# Whom the database can tell apart: an entry in the index of the idempotency keys has at most 2,704 bytes.
STORABLE = re.compile("[^\0\ud800-\udfff]{0,510}")

# What the alarms and the dashboard look at, besides what each function counts when it succeeds.
COUNTED_FAILURES = {409: "Conflicts", 412: "Conflicts", 422: "Conflicts", 503: "DatabaseErrors"}

logger = Logger(service="token-bundles", level=settings.log_level)
metrics = Metrics(namespace="TokenBundles", service="token-bundles")


class Api(APIGatewayHttpResolver):
    """The routes of one function, for callers whose token has the scope.

    They are declared to Powertools, which can describe them. Requests are answered here: API Gateway has
    chosen the function, and the little that is left to resolve would cost a multiple in Powertools.
    """

    def __init__(self, scope: str, counts: str | None = None) -> None:
        """Answer 401 or 403 before anything else; `counts` is the metric of what was done."""
        super().__init__()
        self.scope = scope
        self.counts = counts
        self._operations: list[Operation] = []
        self._event: Event = {}

    def route(self, rule: str, method: Any, *arguments: Any, **options: Any) -> Callable[[Any], Any]:
        """Declare a function to be the answer to a method on paths like `/things/<thing_id>`."""
        declare = super().route(rule, method, *arguments, **options)

        def register(function: Any) -> Any:
            self._operations.append(Operation(method, rule, function))
            return declare(function)

        return register

    def resolve(self, event: Event, _context: LambdaContext) -> dict[str, Any]:
        """Answer one event of API Gateway (payload format 2.0)."""
        self._event = event
        logger.append_keys(request_id=self._request_id)
        response = self._response()
        status = int(response.status_code)
        # The access log has every request; the function's own has those that went wrong.
        log = logger.info if status >= HTTPStatus.BAD_REQUEST else logger.debug
        log("answered", route=event.get("routeKey"), status=status)
        self._count(status, replayed=REPLAYED in response.headers)
        return {
            "statusCode": status,
            "headers": {"Content-Type": response.content_type, **response.headers},
            "body": _text(response.body),
            "isBase64Encoded": False,
        }

    @property
    def caller(self) -> Caller:
        """Who sent the current request."""
        claims = self._claims
        return Caller(claims.get("sub"), claims.get("client_id") or claims.get("azp"), self._request_id)

    def _response(self) -> Response[Any]:
        try:
            self._admit()
            return self._answer()
        except InvalidRequestError as error:
            return validation_problem(error.errors, self._request_id)
        except ApiError as error:
            if error.status >= ApiError.status:
                logger.exception(error.detail)
            return problem(error, self._request_id)
        except Exception:
            logger.exception(ApiError.detail)
            return problem(ApiError(), self._request_id)

    def _admit(self) -> None:
        if not self._claims or not all(map(_is_storable, self.caller)):
            raise UnauthorizedError
        if self.scope not in _scopes(self._claims):
            raise ForbiddenError

    def _answer(self) -> Response[Any]:
        method, path = self._event["requestContext"]["http"]["method"], self._event["rawPath"]
        for operation in self._operations:
            variables = operation.match(method, path)
            if variables is not None:
                return operation.answer(self._event, variables)
        raise NotFoundError

    def _count(self, status: int, *, replayed: bool) -> None:
        done = status < HTTPStatus.MULTIPLE_CHOICES and not replayed
        metric = self.counts if done else COUNTED_FAILURES.get(status)
        if metric:
            metrics.add_metric(metric, MetricUnit.Count, 1)
            metrics.flush_metrics()

    @property
    def _claims(self) -> Mapping[str, Any]:
        authorizer = self._event["requestContext"].get("authorizer") or {}
        claims = (authorizer.get("jwt") or {}).get("claims")
        return claims if isinstance(claims, Mapping) else {}

    @property
    def _request_id(self) -> str:
        return str(self._event["requestContext"].get("requestId", ""))


def _text(body: Any) -> str:
    return body if isinstance(body, str) else to_json(body).decode() if body is not None else ""


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
