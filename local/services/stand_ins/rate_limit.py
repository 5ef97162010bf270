"""A rate limit that counts the requests of one client in a window: GitHub's primary limit, and those of other APIs.

What belongs here: counting. What does not: how an API words its refusal.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass
class RateLimit:
    """Counts the requests of one client.

    `limit` is for a window of `seconds`, which begins with its first request; `clock` returns seconds since the epoch.
    """

    limit: int
    clock: Callable[[], float] = time.time
    used: int = 0
    resets: int = 0
    seconds: int = 3600

    def take(self, weight: int = 1) -> bool:
        """Count one request, which may weigh more than others. Return False when the limit is reached."""
        self._reset_if_due()
        if self.used + weight > self.limit:
            return False
        self.used += weight
        return True

    @property
    def wait_seconds(self) -> int:
        """The whole seconds until the next window."""
        return max(1, math.ceil(self.resets - self.clock()))

    def headers(self) -> dict[str, str]:
        """Return the rate limit headers of an answer of GitHub's API."""
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
            self.resets, self.used = int(now) + self.seconds, 0
