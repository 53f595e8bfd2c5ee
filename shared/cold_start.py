"""What makes a new Lambda environment start fast; to be imported before anything large."""

import gc
import os
from contextlib import suppress

# While an environment is set up there are many new objects and hardly any garbage: looking for it is a tenth
# of a cold start.
if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    gc.disable()

# Else pydantic looks for plugins in the metadata of all that is installed.
os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")


def finish_init() -> None:
    """Connect to the database if this environment is not for a snapshot, and collect garbage from now on."""
    if os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") in {"on-demand", "provisioned-concurrency"}:
        from shared.database import reading  # noqa: PLC0415 - it is large, and garbage must be off before

        # What is wrong will be wrong in the first request, too, which can say so.
        with suppress(Exception), reading():
            pass
    # Nothing of what has been imported by now will ever be garbage.
    gc.freeze()
    gc.enable()
