"""Whether a series of samples is flat, grows as expected, or grows without a reason.

What belongs here: arithmetic on numbers. What does not: where they come from, and how they are shown.
"""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_HOUR = 3600.0
# Start and end of a series are the medians of its first and its last fifth.
_FIFTH = 0.2
# Longer series are thinned to about this number of points: slopes are computed for all pairs.
_MOST_POINTS = 200


class Verdict(StrEnum):
    """The verdict on a series."""

    FLAT = "flat"
    EXPLAINED = "explained"
    GROWS = "GROWS"


@dataclass
class Series:
    """A quantity over time: seconds since the load began, and values. `unit` is for display."""

    name: str
    unit: str
    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, second: float, value: float) -> None:
        """Add a sample."""
        self.seconds.append(second)
        self.values.append(value)

    def after(self, second: float) -> Series:
        """Return the samples from that second on."""
        kept = [(at, value) for at, value in zip(self.seconds, self.values, strict=True) if at >= second]
        return Series(self.name, self.unit, [at for at, _ in kept], [value for _, value in kept])


@dataclass(frozen=True)
class Tolerance:
    """The change that is not growth: up to `absolute` (in the series' unit), or up to `share` of the start."""

    absolute: float
    share: float = 0.1

    def around(self, start: float) -> float:
        """Return the larger of the two, in the series' unit."""
        return max(self.absolute, self.share * abs(start))


@dataclass(frozen=True)
class Expected:
    """Growth by design: at most `growth` over the time of the series, plus `share` of it, because of `reason`."""

    growth: float
    reason: str
    share: float = 0.1


@dataclass(frozen=True)
class Judgement:
    """The judgement of one series. `slope` is in units an hour."""

    name: str
    unit: str
    start: float
    end: float
    slope: float
    verdict: Verdict
    explained: str = ""


def slope(seconds: Sequence[float], values: Sequence[float]) -> float:
    """Return the Theil-Sen slope per hour (the median of the slopes of all pairs): single peaks do not change it."""
    step = max(1, len(seconds) // _MOST_POINTS)
    points = list(zip(seconds, values, strict=True))[::step]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] > a[0]]
    return statistics.median(slopes) * _HOUR if slopes else 0.0


def judge(series: Series, tolerance: Tolerance, expected: Expected | None = None) -> Judgement:
    """Judge a series.

    It grows if three values exceed the tolerance: the slope over the whole time, the end minus the start, and the slope
    of the second half (half the tolerance). A peak at the end changes the second value only; a step to a constant level
    changes the first two only.

    Args:
        series: without its warm-up.
        tolerance: the change that is not growth.
        expected: growth by design, if any.
    """
    if not series.values:
        return Judgement(series.name, series.unit, 0, 0, 0, Verdict.GROWS, "there is no sample")
    fifth = max(1, round(len(series.values) * _FIFTH))
    start, end = statistics.median(series.values[:fifth]), statistics.median(series.values[-fifth:])
    per_hour = slope(series.seconds, series.values)
    lasted = (series.seconds[-1] - series.seconds[0]) / _HOUR
    limit = tolerance.around(start)
    verdict, explained = Verdict.FLAT, ""
    half = len(series.values) // 2
    of_late = slope(series.seconds[half:], series.values[half:])
    if per_hour * lasted > limit and end - start > limit and of_late * lasted / 2 > limit / 2:
        verdict = Verdict.GROWS
        if expected is not None:
            grown = series.values[-1] - series.values[0]
            fits = grown <= expected.growth * (1 + expected.share) + tolerance.absolute
            verdict = Verdict.EXPLAINED if fits else Verdict.GROWS
            explained = f"{grown:,.0f} more; expected up to {expected.growth:,.0f}: {expected.reason}"
    return Judgement(series.name, series.unit, start, end, per_hour, verdict, explained)


@dataclass(frozen=True)
class Latency:
    """Seconds from drop to loaded of some files."""

    files: int
    median: float
    p95: float
    worst: float


def latency(seconds: Sequence[float]) -> Latency | None:
    """Return number, median, 95th percentile and maximum of some latencies; None without latencies."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    at_95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return Latency(len(ordered), statistics.median(ordered), at_95, ordered[-1])


def first_and_last_fifth(drops: Sequence[tuple[float, float]], lasted: float) -> tuple[list[float], list[float]]:
    """Return the latencies of the files dropped in the first and in the last fifth of the time.

    Args:
        drops: when each file was dropped, in seconds since the beginning, and its latency.
        lasted: seconds in which files were dropped.
    """
    first = [taken for at, taken in drops if at < _FIFTH * lasted]
    last = [taken for at, taken in drops if at >= (1 - _FIFTH) * lasted]
    return first, last


def slower(first: Latency | None, last: Latency | None, *, share: float = 0.5, seconds: float = 5.0) -> bool:
    """Whether the median latency grew by more than `seconds` and by more than `share` of the first one."""
    if first is None or last is None:
        return False
    return last.median - first.median > max(seconds, share * first.median)
