"""A process that serves the gateway on the listening socket of the process that started it."""

import importlib
import logging
import os
import socket
import sys
import threading

import uvicorn

from dev.gateway import logs
from dev.gateway.app import create_app
from dev.gateway.template import Template, TemplateError, local_template
from dev.gateway.throttle import read_throttle
from dev.gateway.tokens import signing_key
from shared.settings import settings

GRACEFUL_SECONDS = 2

logger = logging.getLogger("dev.gateway.worker")


def main(listener: int) -> None:
    """Load everything, wait until the parent says go, then serve until it says stop or ends."""
    go = threading.Event()
    threading.Thread(target=_heed_parent, args=[go], daemon=True).start()
    template = local_template()
    for name, value in template.environment.items():
        os.environ.setdefault(name, value)
    # They are for CloudWatch, and would be lines of JSON between those for a person.
    os.environ.setdefault("POWERTOOLS_METRICS_DISABLED", "true")
    throttle = read_throttle(os.environ.get("THROTTLE", ""))
    app = create_app(template, signing_key().public_key(), lambda: _leave(server), throttle)
    config = uvicorn.Config(
        logs.RequestLog(app),
        log_config=logs.configuration(settings.log_level),
        access_log=False,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        # An event must show who called, not what the caller says about it.
        proxy_headers=False,
        server_header=False,
        ws="none",
    )
    server = uvicorn.Server(config)
    _load_functions(template)
    logs.make_functions_log_lines()
    go.wait()
    server.run([socket.socket(fileno=listener)])
    # A function that has not ended must not keep this process.
    os._exit(0)


def _load_functions(template: Template) -> None:
    sys.path.insert(0, str(template.code_folder))
    for function in {route.function for route in template.routes}:
        try:
            importlib.import_module(function.module)
        except Exception:  # the other functions work all the same
            logger.exception("%s cannot be loaded", function.name)


def _leave(server: uvicorn.Server) -> None:
    # As in Lambda, what is left of a function that ran out of time goes with its environment.
    server.should_exit = True


def _heed_parent(go: threading.Event) -> None:
    while os.read(0, 1):
        go.set()
    os._exit(0)


if __name__ == "__main__":
    try:
        main(int(sys.argv[1]))
    except TemplateError as error:
        sys.exit(str(error))
