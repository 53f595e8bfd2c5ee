"""Where this checkout keeps its local state, and what stands in for the parameters of a deployment."""

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = ROOT / "template.yaml"

# Fixed, so that a token fits every gateway of this checkout, whatever its port.
ISSUER = "http://issuer.localhost"
AUDIENCE = "token-bundles-admin"


class UserError(Exception):
    """Something that the person at the terminal can do something about; the message says what."""


def folder() -> Path:
    """The folder of the signing key and the database: `.dev`, or `DEV_FOLDER`."""
    return Path(os.environ.get("DEV_FOLDER") or ROOT / ".dev").resolve()


def database_folder() -> Path:
    """The data folder of the embedded Postgres."""
    return folder() / "postgres"
