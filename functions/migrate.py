"""The deploy-time job: a custom resource of CloudFormation, and direct invokes for people and pipelines."""

import threading
from typing import Any

from aws_lambda_powertools import Logger
from aws_lambda_powertools.utilities.typing import LambdaContext

from migrations.cloudformation import answer
from migrations.runner import run
from shared.settings import settings

SECONDS_TO_ANSWER = 10
MAX_REASON = 1000

logger = Logger(service="migrate", level=settings.log_level)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Do what a deploy needs, or run `{"command": …, "revision": …}` with a command of the runner."""
    if "ResponseURL" in event:
        return migrate_for_cloudformation(event, context)
    return migrate(event.get("command", "current"), event.get("revision"))


def migrate(command: str, revision: str | None) -> dict[str, Any]:
    """Run a command; what it says is in the log and in the answer."""
    outcome = run(command, revision)
    logger.info("migrated", outcome=outcome)
    return outcome


def migrate_for_cloudformation(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Bring the database to the head, and answer whatever happens: without one a deploy waits for an hour."""
    seconds = context.get_remaining_time_in_millis() / 1000 - SECONDS_TO_ANSWER
    late = threading.Timer(
        max(0, seconds), answer, [event, "The migration takes longer than the function may."]
    )
    late.start()
    failure = None
    outcome: dict[str, Any] = {}
    try:
        if event.get("RequestType") != "Delete":
            outcome = migrate("upgrade", "head")
    except Exception as error:
        logger.exception("The migration failed")
        failure = f"The migration failed: {error}"[:MAX_REASON]
    late.cancel()
    answer(event, failure)
    return outcome
