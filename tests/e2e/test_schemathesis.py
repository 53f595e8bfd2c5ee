"""Schemathesis against the gateway, with the committed OpenAPI document.

The requests are the same in every run; `TEST_SIZE=full` has more of them.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.openapi import COMMITTED
from tests.e2e.serving import ENVIRONMENT, Gateway

EXAMPLES = 200 if os.environ.get("TEST_SIZE") == "full" else 25
SECONDS = 600
HOOKS = Path(__file__).with_name("schemathesis_hooks.py").as_posix()
# API Gateway answers 404, not 405 with Allow, to a method without a route; every admin may see every bundle.
CONFIGURATION = f"""
hooks = "{HOOKS}"
seed = 1
continue-on-failure = true
warnings = false

[generation]
max-examples = {EXAMPLES}
deterministic = true
database = "none"

# Without it `token_amount` would look like a secret.
[output.sanitization]
enabled = false

[checks]
unsupported_method.enabled = false
allow_header_conformance.enabled = false
object_level_authorization.enabled = false
# A random id is that of nothing, a random tag that of no version; a key may have been used, a value be taken.
positive_data_acceptance.expected-statuses = ["2xx", 304, 404, 409, 412, 422]

# A number may be that of no version.
[[operations]]
include-path-regex = "/restore$"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 404, 409, 412]

# Not each text is a table, nor has each entry an id or a code.
[[operations]]
include-path-regex = "/import$"
checks.positive_data_acceptance.expected-statuses = ["2xx", 400, 409]

# It outlives what it is about.
[[operations]]
include-path-regex = "/history$"
checks.use_after_free.enabled = false
"""


# Valid and invalid requests in runs of their own: mixed, Schemathesis 4.32 takes the number 0 for a valid
# If-Match, because a header is always text, and forgets the pattern.
@pytest.mark.parametrize("mode", ["positive", "negative"])
def test_every_answer_is_as_documented(gateway: Gateway, token: str, tmp_path: Path, mode: str) -> None:
    (tmp_path / "schemathesis.toml").write_text(CONFIGURATION)
    run = subprocess.run(
        [
            Path(sys.executable).with_name("schemathesis"),
            "run",
            COMMITTED,
            f"--url={gateway.url}",
            f"--header=Authorization: Bearer {token}",
            f"--mode={mode}",
        ],
        cwd=tmp_path,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    sys.stdout.write(run.stdout)
    assert run.returncode == 0, run.stdout + run.stderr
