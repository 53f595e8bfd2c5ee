"""The lines of the development log."""

import json
import logging
import re
import sys

import pytest

from dev.gateway import logs


def entry(message: str, **details: object) -> logging.LogRecord:
    record = logging.LogRecord("name", logging.WARNING, __file__, 1, message, (), None)
    record.__dict__.update(details)
    return record


def test_a_line_has_time_level_message_and_details() -> None:
    line = logs.LineFormatter().format(entry("halted", request_id="abc", taskName="Task-1"))

    assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING halted request_id=abc", line)


def failure() -> logging.LogRecord:
    try:
        try:
            json.loads("nonsense")
        except ValueError as error:
            raise TypeError("worse") from error
    except TypeError:
        return entry("failed", exc_info=sys.exc_info())
    raise AssertionError


@pytest.mark.parametrize(
    ("level", "functions"),
    [
        (logging.INFO, ["failure", "raw_decode", "failure"]),
        (logging.DEBUG, ["failure", "loads", "decode", "raw_decode", "failure"]),
    ],
)
def test_a_traceback_is_of_our_own_code(
    caplog: pytest.LogCaptureFixture, level: int, functions: list[str]
) -> None:
    with caplog.at_level(level, logs.logger.name):
        line, *traceback = logs.LineFormatter().format(failure()).splitlines()

    assert line.endswith("failed")
    shown = [re.search(r", in (\w+)$", line) for line in traceback]
    assert [match[1] for match in shown if match] == functions
    assert traceback[-1] == "TypeError: worse"
