"""Whether a series of samples is flat, grows as it should, or grows for no reason.

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
# Of the whole, the part at either end whose median is the start and the end.
_FIFTH = 0.2
# More points than this are thinned before slopes are compared in pairs.
_MOST_POINTS = 200


class Verdict(StrEnum):
    """What is said of a series."""

    FLAT = "flat"
    EXPLAINED = "explained"
    GROWS = "GROWS"


@dataclass
class Series:
    """A quantity over time: seconds since the load began, and values. `unit` is for people."""

    name: str
    unit: str
    seconds: list[float] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def add(self, second: float, value: float) -> None:
        """One more sample."""
        self.seconds.append(second)
        self.values.append(value)

    def after(self, second: float) -> Series:
        """The samples from then on."""
        kept = [(at, value) for at, value in zip(self.seconds, self.values, strict=True) if at >= second]
        return Series(self.name, self.unit, [at for at, _ in kept], [value for _, value in kept])


@dataclass(frozen=True)
class Tolerance:
    """What is no growth: less than `absolute` (in the series' unit), or than this share of the start."""

    absolute: float
    share: float = 0.1

    def around(self, start: float) -> float:
        """The larger of the two."""
        return max(self.absolute, self.share * abs(start))


@dataclass(frozen=True)
class Expected:
    """Growth by design: at most `growth` over the time of the series, because of `reason`. `share` is let go beyond."""

    growth: float
    reason: str
    share: float = 0.1


@dataclass(frozen=True)
class Judgement:
    """What is said of one series. `slope` is the unit an hour."""

    name: str
    unit: str
    start: float
    end: float
    slope: float
    verdict: Verdict
    explained: str = ""


def slope(seconds: Sequence[float], values: Sequence[float]) -> float:
    """The median of the slopes between all pairs of points (Theil and Sen), per hour: single peaks do not move it."""
    step = max(1, len(seconds) // _MOST_POINTS)
    points = list(zip(seconds, values, strict=True))[::step]
    slopes = [(b[1] - a[1]) / (b[0] - a[0]) for a, b in combinations(points, 2) if b[0] > a[0]]
    return statistics.median(slopes) * _HOUR if slopes else 0.0


def judge(series: Series, tolerance: Tolerance, expected: Expected | None = None) -> Judgement:
    """Judge a series.

    It grows if all three say so: the slope over the whole time, the end against the start, and the slope of the second
    half, by half as much. A peak at the end moves the second alone; a step to a level that stays, all but the third.

    Args:
        series: with its warming up cut off.
        tolerance: what is no growth.
        expected: growth by design, if there is some.
    """
    if not series.values:
        return Judgement(series.name, series.unit, 0, 0, 0, Verdict.GROWS, "there is no sample: nothing is known")
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
    """The three numbers of some files; None of none."""
    if not seconds:
        return None
    ordered = sorted(seconds)
    at_95 = ordered[min(len(ordered) - 1, round(0.95 * (len(ordered) - 1)))]
    return Latency(len(ordered), statistics.median(ordered), at_95, ordered[-1])


def first_and_last_fifth(drops: Sequence[tuple[float, float]], lasted: float) -> tuple[list[float], list[float]]:
    """The latencies of the files dropped in the first and in the last fifth of the time.

    Args:
        drops: when each file was dropped, in seconds since the beginning, and its latency.
        lasted: seconds in which files were dropped.
    """
    first = [taken for at, taken in drops if at < _FIFTH * lasted]
    last = [taken for at, taken in drops if at >= (1 - _FIFTH) * lasted]
    return first, last


def slower(first: Latency | None, last: Latency | None, *, share: float = 0.5, seconds: float = 5.0) -> bool:
    """Whether files wait longer in the end than at the beginning: by more than both, in the median."""
    if first is None or last is None:
        return False
    return last.median - first.median > max(seconds, share * first.median)
