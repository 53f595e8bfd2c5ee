"""Where this checkout keeps its local state, and what stands in for the parameters of a deployment."""

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dev.template import Template

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


def local_template() -> "Template":
    """Read the template with local values; the variable ALLOWED_ORIGINS sets AllowedOrigins, and so on."""
    from dev.template import read_template

    return read_template(TEMPLATE, _parameter)


def _parameter(name: str) -> str | None:
    fixed = {"JwtIssuer": ISSUER, "JwtAudience": AUDIENCE}.get(name)
    return fixed or os.environ.get(re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).upper()) or None
