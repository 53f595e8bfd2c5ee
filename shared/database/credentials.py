"""The password of the database, which each connection asks for when it is made."""

import json
import logging
from functools import cache
from typing import Any
from urllib.parse import SplitResult, unquote, urlencode

from shared.settings import settings

POSTGRES_PORT = 5432
TOKEN_SECONDS = 15 * 60
SECRET_SECONDS = 60 * 60

# Lambda's runtime sets the root logger to our level, and below INFO these tell secrets, and tokens they sign.
for library in ("boto3", "botocore", "urllib3"):
    logging.getLogger(library).setLevel(logging.INFO)


def password(url: SplitResult, *, again: bool = False) -> str | None:
    """Return the password for the user of the URL; `again` when the last one was refused."""
    match settings.database_auth:
        case "iam":
            return _iam_token(url)
        case "secret":
            return _secret_password(again=again)
        case _:
            return unquote(url.password) if url.password else None


def _iam_token(url: SplitResult) -> str:
    """Sign a token for RDS, which takes neither a network call nor a secret."""
    # Importing botocore costs more than a whole request: only those who need it pay for it.
    # Its client for RDS signs in the same way, but first reads the description of all that RDS can do.
    from botocore.model import ServiceId  # noqa: PLC0415
    from botocore.session import Session  # noqa: PLC0415
    from botocore.signers import RequestSigner  # noqa: PLC0415

    session = Session()
    region, events = session.get_config_variable("region"), session.get_component("event_emitter")
    signer = RequestSigner(ServiceId("rds-db"), region, "rds-db", "v4", session.get_credentials(), events)
    query = urlencode({"Action": "connect", "DBUser": unquote(url.username or "")})
    address = f"https://{url.hostname}:{url.port or POSTGRES_PORT}/?{query}"
    request = {"method": "GET", "url": address, "body": {}, "headers": {}, "context": {}}
    token = signer.generate_presigned_url(request, "connect", expires_in=TOKEN_SECONDS, region_name=region)
    return str(token).removeprefix("https://")


def _secret_password(*, again: bool) -> str:
    secret = _secrets().get(settings.database_secret, max_age=SECRET_SECONDS, force_fetch=again)
    try:
        password = json.loads(secret)["password"]
    except (ValueError, LookupError, TypeError):
        password = None
    if not isinstance(password, str) and not again:
        # It may have been corrected since it was kept.
        return _secret_password(again=True)
    if not isinstance(password, str):
        # Without its cause, which may quote the secret.
        raise ConnectionError("The secret is no JSON object whose `password` is a text.") from None
    return password


@cache
def _secrets() -> Any:
    from aws_lambda_powertools.utilities.parameters import SecretsProvider  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    # By default botocore waits for a minute, and then tries again, which no function has the time for.
    seconds = settings.database_connect_timeout
    config = Config(connect_timeout=seconds, read_timeout=seconds, retries={"total_max_attempts": 1})
    return SecretsProvider(boto_config=config)
