"""What the functions log: lines of JSON."""

from aws_lambda_powertools import Logger

from shared.settings import settings

# Of a line whose time is written otherwise Lambda does not see the level.
logger = Logger(service=settings.service_name, level=settings.log_level, use_rfc3339=True)
