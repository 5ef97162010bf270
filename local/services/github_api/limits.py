"""The primary rate limit of the API: requests per hour for each token, and fewer without a token."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WITH_TOKEN, WITHOUT = 5000, 60
_WINDOW_SECONDS = 3600


@dataclass
class RateLimit:
    """Counts the requests of one client. `limit` is per hour; `clock` returns seconds since the epoch."""

    limit: int
    clock: Callable[[], float] = time.time
    used: int = 0
    resets: int = 0

    def take(self) -> bool:
        """Count one request. Return False when the limit is reached."""
        self._reset_if_due()
        if self.used >= self.limit:
            return False
        self.used += 1
        return True

    def headers(self) -> dict[str, str]:
        """Return the rate limit headers of an answer."""
        self._reset_if_due()
        return {
            "x-ratelimit-limit": str(self.limit),
            "x-ratelimit-remaining": str(max(0, self.limit - self.used)),
            "x-ratelimit-used": str(self.used),
            "x-ratelimit-reset": str(self.resets),
            "x-ratelimit-resource": "core",
        }

    def _reset_if_due(self) -> None:
        now = self.clock()
        if now >= self.resets:
            self.resets, self.used = int(now) + _WINDOW_SECONDS, 0
