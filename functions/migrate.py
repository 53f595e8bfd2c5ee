"""The deploy-time job: a custom resource of CloudFormation, and direct invokes for people and pipelines."""

import re
import threading
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from migrations.cloudformation import answer
from migrations.runner import run
from shared.settings import settings

SECONDS_TO_ANSWER = 40
# https://www.postgresql.org/docs/current/protocol-error-fields.html
TOLD = {"C": "SQLSTATE", "t": "table", "c": "column", "n": "constraint", "H": "hint"}

logger = Logger(service="migrate", level=settings.log_level)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what a deploy needs, or run `{"command": …}` of the runner, with a `"revision"` or `"currency"`."""
    if "ResponseURL" in event:
        return migrate_for_cloudformation(event, context)
    return migrate(event.get("command", "current"), event.get("revision") or event.get("currency"))


def migrate(command: str, argument: str | None) -> dict[str, Any]:
    """Run a command; what it says is in the log and in the answer."""
    try:
        outcome = run(command, argument)
    except BaseException as error:
        # The errors that it came from are left out as well: what they say goes into the log.
        raise RuntimeError(_without_values(error)).with_traceback(error.__traceback__) from None
    logger.info("migrated", outcome=outcome)
    return outcome


def _without_values(error: BaseException) -> str:
    """Leave out the SQL and Postgres' detail, which hold values of rows."""
    cause = getattr(error, "orig", None) or error
    fields = cause.args[0] if cause.args else None
    if not isinstance(fields, dict):
        return f"{type(cause).__name__}: {cause}"
    # The message of a data exception quotes the value, too.
    message = re.split('["„“«»:]', fields["M"])[0] if fields["C"].startswith("22") else fields["M"]
    return f"{message} ({', '.join(f'{name} {fields[key]}' for key, name in TOLD.items() if key in fields)})"


def migrate_for_cloudformation(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Bring the database to the head, and answer whatever happens: without one a deploy waits for an hour."""
    first = threading.Lock()

    def answer_once(failure: str | None) -> None:
        if first.acquire(blocking=False):
            answer(event, failure)

    seconds = context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_ANSWER
    too_late = "The migration takes longer than the function may."
    late = threading.Timer(max(0, seconds), answer_once, [too_late])
    late.start()
    failure = None
    outcome: dict[str, Any] = {}
    try:
        if event.get("RequestType") != "Delete":
            outcome = migrate("upgrade", "head")
    except BaseException as error:
        failure = f"The migration failed: {error}"
        logger.exception("The migration failed")
    finally:
        late.cancel()
        answer_once(failure)
        # When the function ends, an answer that is on its way is lost.
        late.join()
    return outcome
