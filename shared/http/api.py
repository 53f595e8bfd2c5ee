"""The resolver that every function is made with."""

import gc
import re
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

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
from shared.http.response import Response
from shared.settings import settings

# Whom the database can tell apart: an entry in the index of the idempotency keys has at most 2,704 bytes.
STORABLE = re.compile("[^\0\ud800-\udfff]{0,510}")

# What the alarms and the dashboard look at, besides what each function counts when it succeeds.
COUNTED_FAILURES = {409: "Conflicts", 412: "Conflicts", 422: "Conflicts", 503: "DatabaseErrors"}

NOBODY = Caller(None, None, "")

logger = Logger(service="token-bundles", level=settings.log_level)
metrics = Metrics(namespace="TokenBundles", service="token-bundles")

Function = TypeVar("Function", bound=Callable[..., Response[Any]])


class Api:
    """The routes of one function, for callers whose token has the scope.

    They are declared as Powertools' resolver wants it, which describes them in the API's document. Answering
    them is left to this: API Gateway has chosen the function, and the resolver costs more than the rest.
    """

    def __init__(self, scope: str, counts: str | None = None) -> None:
        """Answer 401 or 403 before anything else; `counts` is the metric of what was done."""
        self.scope = scope
        self.counts = counts
        self.operations: list[Operation] = []
        self._event: Event = {}
        self._claims: Mapping[str, Any] = {}
        self.caller = NOBODY
        # Nothing of what has been imported by now will ever be garbage.
        gc.freeze()
        gc.enable()

    def route(self, method: str, rule: str, **description: Any) -> Callable[[Function], Function]:
        """Have a function answer a method on paths like `/things/{thing_id}`."""

        def declare(function: Function) -> Function:
            self.operations.append(Operation(method, rule, function, description))
            return function

        return declare

    def __call__(self, event: Event, _context: object) -> dict[str, Any]:
        """Answer one event of API Gateway (payload format 2.0)."""
        self._event = event
        self._claims = _claims(event)
        self.caller = _caller(event, self._claims)
        logger.append_keys(request_id=self.caller.request_id)
        response = self._response()
        # The access log has every request; the function's own has those that went wrong.
        log = logger.info if response.status >= HTTPStatus.BAD_REQUEST else logger.debug
        log("answered", route=event.get("routeKey"), status=int(response.status))
        self._count(response)
        return response.for_api_gateway()

    def _response(self) -> Response[Any]:
        try:
            self._admit()
            return self._answer()
        except InvalidRequestError as error:
            return validation_problem(error.errors, self.caller.request_id)
        except ApiError as error:
            if error.status >= ApiError.status:
                logger.exception(error.detail)
            return problem(error, self.caller.request_id)
        except Exception:
            logger.exception(ApiError.detail)
            return problem(ApiError(), self.caller.request_id)

    def _admit(self) -> None:
        if not self._claims or not all(map(_is_storable, self.caller)):
            raise UnauthorizedError
        if self.scope not in _scopes(self._claims):
            raise ForbiddenError

    def _answer(self) -> Response[Any]:
        method, path = self._event["requestContext"]["http"]["method"], self._event["rawPath"]
        for operation in self.operations:
            variables = operation.match(method, path)
            if variables is not None:
                return operation.answer(self._event, variables)
        raise NotFoundError

    def _count(self, response: Response[Any]) -> None:
        done = response.status < HTTPStatus.MULTIPLE_CHOICES and REPLAYED not in response.headers
        metric = self.counts if done else COUNTED_FAILURES.get(response.status)
        if metric:
            metrics.add_metric(metric, MetricUnit.Count, 1)
            metrics.flush_metrics()


def _claims(event: Event) -> Mapping[str, Any]:
    claims: Any = event
    for name in ("requestContext", "authorizer", "jwt", "claims"):
        claims = claims.get(name) if isinstance(claims, Mapping) else None
    return claims if isinstance(claims, Mapping) else {}


def _caller(event: Event, claims: Mapping[str, Any]) -> Caller:
    request_id = str((event.get("requestContext") or {}).get("requestId", ""))
    return Caller(claims.get("sub"), claims.get("client_id") or claims.get("azp"), request_id)


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
