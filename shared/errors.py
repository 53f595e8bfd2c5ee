"""The errors that a caller is told about; each knows its status and its sentence."""


class ApiError(Exception):
    """A request that cannot be answered as asked."""

    status = 500
    detail = "internal error"


class NotFoundError(ApiError):
    """What the request names does not exist."""

    status = 404
    detail = "There is nothing at this address."


class StillReferencedError(ApiError):
    """What should be deleted is still referenced by another table."""

    status = 409
    detail = "It is still used elsewhere and cannot be deleted: deactivate it instead."


class DatabaseUnavailableError(ApiError):
    """The database cannot be reached, or took too long."""

    status = 503
    detail = "The database is not available at the moment: try again shortly."
