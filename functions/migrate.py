"""The deploy-time job: a custom resource of CloudFormation, and direct invokes for people and pipelines."""

import threading
from typing import Any

from aws_lambda_powertools.utilities.typing import LambdaContext

from migrations.cloudformation import answer
from migrations.runner import run
from shared.logs import logger

SECONDS_TO_ANSWER = 40


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what a deploy needs, or run `{"command": …}` of the runner, with a `"revision"` or `"currency"`."""
    logger.append_keys(function="migrate", function_request_id=context.aws_request_id)
    if "ResponseURL" in event:
        return migrate_for_cloudformation(event, context)
    return migrate(event.get("command", "current"), event.get("revision") or event.get("currency"))


def migrate(command: str, argument: str | None) -> dict[str, Any]:
    """Run a command; what it says is in the log and in the answer."""
    try:
        outcome = run(command, argument)
    except BaseException as error:
        # What SQLAlchemy adds to the driver's error, such as the SQL, may hold values of rows.
        cause = getattr(error, "orig", None) or error
        told = f"{type(cause).__name__}: {cause}"
        raise RuntimeError(told).with_traceback(error.__traceback__) from None
    logger.info("migrated", outcome=outcome)
    return outcome


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
