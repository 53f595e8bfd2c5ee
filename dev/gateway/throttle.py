"""The limits that `THROTTLE` asks for, so that a frontend can be tried against refusals."""

import re
import time
from dataclasses import dataclass

from dev.local import UserError


@dataclass
class Throttle:
    """How many requests a stage takes, as a bucket of tokens, and how many calls a function at once."""

    rate: int
    burst: int
    concurrency: int

    def __post_init__(self) -> None:
        self._tokens, self._seen = float(self.burst), time.monotonic()

    def takes_one_more(self) -> bool:
        """Take the token of a request, if there is one left."""
        before, self._seen = self._seen, time.monotonic()
        self._tokens = min(self.burst, self._tokens + (self._seen - before) * self.rate)
        taken = self._tokens >= 1
        self._tokens -= taken
        return taken


def read_throttle(text: str) -> Throttle | None:
    """Read what `THROTTLE` says, which may be nothing."""
    if not text:
        return None
    numbers = re.fullmatch(r"(\d{1,6}),(\d{1,6}),(\d{1,6})", text)
    if not numbers:
        meaning = "requests a second, requests in a burst, and calls of a function at a time"
        raise UserError(f"THROTTLE={text} is not of the form 10,20,5: {meaning}, each 0 or more.")
    return Throttle(*map(int, numbers.groups()))
