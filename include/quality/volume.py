"""Whether a load brought about as many rows as this dataset's loads usually do.

What belongs here: the arithmetic. What does not: the ledger.

A load is all that one run of a DAG brought: a daily file, the small files that lay there together, or what came through
a topic during a run. So one rule serves hourly files and streams. A DAG's newest run is judged, and counts as history,
once a newer one has begun or it has been quiet for five minutes: until then it may bring more. Rows are compared as
ln(1 + rows): a fiftieth is as far from usual as fifty times as much, and loads that vary by a factor have a wide
spread.

    deviation = (ln(1 + rows) - median) / spread
    spread    = 1.4826 * MAD                  median absolute deviation, scaled to a standard deviation
              = 1.2533 * mean deviation       where MAD is 0: more than half of the loads are alike
              at least ln 1.1                 a tenth more or less is never far

Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (ASQC, 1993): the modified z-score, and its second form
for MAD = 0. They call 3.5 far; QUALITY_DEVIATIONS says what is far here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import fmean, median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_MAD_TO_DEVIATION = 1.4826
_MEAN_TO_DEVIATION = 1.2533
_LEAST_SPREAD = math.log(1.1)


@dataclass(frozen=True)
class Volume:
    """A load against those before it. `usual` is their median in rows; the bounds are rows that would still pass."""

    rows: int
    deviation: float
    usual: int
    low: int
    high: int

    def is_usual(self, deviations: float) -> bool:
        """Whether the load lies within so many robust deviations."""
        return abs(self.deviation) <= deviations


def compare(rows: int, history: Sequence[int], deviations: float) -> Volume:
    """A load of `rows` against earlier ones, in rows each. `history` must not be empty."""
    logs = [math.log1p(each) for each in history]
    middle = median(logs)
    distances = [abs(each - middle) for each in logs]
    spread = max(
        _MAD_TO_DEVIATION * median(distances) or _MEAN_TO_DEVIATION * fmean(distances),
        _LEAST_SPREAD,
    )
    return Volume(
        rows=rows,
        deviation=(math.log1p(rows) - middle) / spread,
        usual=_rows(middle),
        low=_rows(middle - deviations * spread),
        high=_rows(middle + deviations * spread),
    )


def farthest(loads: Sequence[int], history: Sequence[int], deviations: float) -> Volume:
    """Of some new loads the one that is farthest from usual. Neither may be empty."""
    return max((compare(rows, history, deviations) for rows in loads), key=lambda volume: abs(volume.deviation))


def _rows(log: float) -> int:
    return max(0, round(math.expm1(min(log, 60.0))))
