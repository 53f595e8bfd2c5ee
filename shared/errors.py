"""The errors that a caller is told about; each knows its status and its sentence."""

# How many are named, and what else of an answer API Gateway passes on, in which text is written as JSON.
MAX_ERRORS = 100
MAX_ANSWER_BYTES = 5 * 1024 * 1024


class ApiError(Exception):
    """A request that cannot be answered as asked."""

    status = 500
    # What counts such requests.
    metric: str | None = None
    detail = "Something went wrong on our side: please report it, with the request id."
    errors: tuple[dict[str, object], ...] = ()
    # Of which `errors` are the first.
    error_count: int | None = None

    def __init__(self, detail: str | None = None) -> None:
        self.detail = detail or self.detail


class NotFoundError(ApiError):
    """What the request names does not exist."""

    status = 404
    detail = "It does not exist, or not any more."


class ConstraintViolatedError(ApiError):
    """What the request asks for violates a constraint: a bug unless a resource expects it."""

    def __init__(self, sqlstate: str, table: str | None, constraint: str | None) -> None:
        self.table, self.constraint = table, constraint
        self.args = (f"SQLSTATE {sqlstate}, table {table}, constraint {constraint}",)


class StillReferencedError(ConstraintViolatedError):
    """What should be deleted is still referenced by the table, or what should be referenced is not there."""


class AlreadyTakenError(ConstraintViolatedError):
    """A value that the constraint wants unique is another row's."""


class ConflictError(ApiError):
    """What the request asks for does not fit what is there."""

    status = 409
    metric = "Conflicts"


class ChangedMeanwhileError(ConflictError):
    """What should be changed has another version than the request expects."""

    status = 412
    detail = "It has been changed since it was read: read it again, and decide anew."


class ExcludedVersionError(ConflictError):
    """What should be changed has a version that the request wants it not to have."""

    status = 412
    detail = "It is as If-None-Match says that it must not be: nothing has been changed."


class VersionConflictError(ConflictError):
    """What should be changed is at another version than the one in the body."""

    detail = "It has been changed since it was read: read it again, and decide anew."

    def __init__(self, current_version: int) -> None:
        entry = {"pointer": "/version", "code": "changed_meanwhile", "current_version": current_version}
        self.errors = (entry,)


class PreconditionRequiredError(ApiError):
    """What should be changed exists, and the request does not say which version of it is meant."""

    status = 428
    detail = "Say which version is to be changed: send its ETag as If-Match, or its version in the body."


class KeyUsedDifferentlyError(ConflictError):
    """The idempotency key belongs to a request with another body."""

    status = 422
    detail = "This Idempotency-Key has been used with a different body: use a new key for a new request."


class DatabaseUnavailableError(ApiError):
    """The database cannot be reached, or took too long."""

    status = 503
    metric = "DatabaseErrors"
    detail = "The database is not available at the moment: try again shortly."


class OutcomeUnknownError(DatabaseUnavailableError):
    """The connection was lost while a change was being made."""

    detail = (
        "The connection to the database was lost, and it is not known whether the change was made: "
        "read it again, or retry with the same Idempotency-Key."
    )


class OtherCurrencyError(ApiError):
    """The functions are set to another currency than the database's prices are in."""

    status = 503
    metric = "CurrencyErrors"
    detail = "The system's currency is not the one of its prices: nothing has been shown or changed."
