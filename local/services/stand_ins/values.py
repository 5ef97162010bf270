"""Numbers that move over time and are the same for the same time and seed.

What belongs here: numbers without a meaning. What does not: prices and weather (`market`, `climate`).
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

# Period in seconds and weight of each wave, slow ones first. The weights add up to 1.
_WAVES = ((30 * 86_400, 0.65), (4 * 86_400, 0.25), (6 * 3_600, 0.08), (15 * 60, 0.02))


@dataclass(frozen=True)
class Values:
    """The numbers of one seed."""

    seed: int = 0

    def wave(self, name: str, time: float) -> float:
        """A number from -1 to 1 that moves smoothly.

        Args:
            name: each name has its own numbers.
            time: in seconds since 1970.
        """
        return sum(weight * self._between(name, period, time / period) for period, weight in _WAVES)

    def share(self, *names: object) -> float:
        """A number from 0 to 1, 1 excluded, which depends on the names alone."""
        return _share(self.seed, names)

    def _between(self, name: str, period: int, at: float) -> float:
        """The number between two fixed ones, which the names and whole steps of time have."""
        step = math.floor(at)
        left, right = (2 * _share(self.seed, (name, period, one)) - 1 for one in (step, step + 1))
        return left + (right - left) * (1 - math.cos((at - step) * math.pi)) / 2


@lru_cache(maxsize=50_000)
def _share(seed: int, names: tuple[object, ...]) -> float:
    digest = hashlib.blake2b(repr((seed, names)).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 11) / 2**53


def rounded(value: float, digits: int = 8) -> float:
    """A number with at most so many digits."""
    return float(f"{value:.{digits}g}")
