"""The lines that a deployed function writes, as Lambda and CloudWatch read them."""

import json
import logging
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from aws_lambda_powertools.logging.formatter import LambdaPowertoolsFormatter

from dev.gateway.template import load_document
from dev.local import ROOT, TEMPLATE
from tests.client import BUNDLES, READ, REQUEST_ID, event

Line = dict[str, Any]

# Of a function whose database is not there.
PROGRAM = """
import json, sys, types
from list_token_bundles import handler
handler(json.load(sys.stdin), types.SimpleNamespace(aws_request_id="lambda-1"))
"""
LOG_LEVELS = load_document(TEMPLATE.read_text())["Parameters"]["LogLevel"]["AllowedValues"]
LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]
RFC_3339 = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)"


def is_kept(line: Line, level: str) -> bool:
    """Tell whether Lambda lets a line through to the log.

    https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
    """
    known = line.get("level") in LEVELS and re.fullmatch(RFC_3339, line.get("timestamp", ""))
    return LEVELS.index(line["level"] if known else "INFO") >= LEVELS.index(level)


@pytest.fixture(scope="module")
def lines() -> list[Line]:
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}:{ROOT / 'functions'}",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "SERVICE_NAME": "the-stack",
    }
    sent = json.dumps(event("GET", BUNDLES, claims={"sub": "a", "scope": READ}))
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        input=sent,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture
def failure(lines: list[Line]) -> Line:
    return next(line for line in lines if line.get("level") == "ERROR")


@pytest.fixture
def metric(lines: list[Line]) -> Line:
    return next(line for line in lines if "_aws" in line)


@pytest.mark.parametrize("level", LOG_LEVELS)
def test_lambda_keeps_every_line(lines: list[Line], level: str) -> None:
    assert [line.get("level") for line in lines] == ["ERROR", "INFO", None]
    assert all(is_kept(line, level) for line in lines)


def test_why_there_is_no_other_level(failure: Line, metric: Line) -> None:
    assert is_kept(failure, "ERROR")
    assert not is_kept(metric, "ERROR")
    record = logging.LogRecord("name", logging.ERROR, __file__, 1, "failed", (), None)
    assert not is_kept(failure | {"timestamp": LambdaPowertoolsFormatter().formatTime(record)}, "ERROR")


def test_each_line_tells_stack_function_and_invocation(lines: list[Line]) -> None:
    known = {"service": "the-stack", "function": "list_token_bundles"}
    assert [line | known for line in lines] == lines
    ids = {"request_id": REQUEST_ID, "function_request_id": "lambda-1"}
    assert [line | ids for line in lines if "level" in line] == lines[:2]


def test_a_metric_is_counted_for_the_stack_and_for_its_function(metric: Line) -> None:
    (counted,) = metric["_aws"]["CloudWatchMetrics"]
    assert counted["Dimensions"] == [["service"], ["service", "function"]]
