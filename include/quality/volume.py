"""Judge whether a load has about as many rows as the dataset's earlier loads.

What belongs here: the arithmetic. What does not: the ledger.

A load is everything that one run of a DAG loaded: a daily file, several small files, or the messages of a topic during
the run. So one rule applies to hourly files and streams. A DAG's newest run is judged, and counts as history, after a
newer one has started or it was inactive for five minutes: until then it may load more. Rows are compared as
ln(1 + rows): a fiftieth of the usual rows is as far away as fifty times the usual rows, and loads that vary by a factor
have a wide spread.

    deviation = (ln(1 + rows) - median) / spread
    spread    = 1.4826 * MAD                  median absolute deviation, scaled to a standard deviation
              = 1.2533 * mean deviation       if MAD is 0: more than half of the loads are equal
              at least ln 1.1                 a tenth more or less is never an outlier

Source: Iglewicz and Hoaglin, How to Detect and Handle Outliers (ASQC, 1993): the modified z-score, and its second form
for MAD = 0. They suggest 3.5 as the limit for outliers; here QUALITY_DEVIATIONS is the limit.
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
    """A load compared with earlier ones. `usual` is their median in rows; `low` and `high` are the limits in rows."""

    rows: int
    deviation: float
    usual: int
    low: int
    high: int

    def is_usual(self, deviations: float) -> bool:
        """Return whether the load is within this many robust deviations of the median."""
        return abs(self.deviation) <= deviations


def compare(rows: int, history: Sequence[int], deviations: float) -> Volume:
    """Compare a load of `rows` with the row counts of earlier loads. `history` must not be empty."""
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
    """Return the comparison of the new load with the largest deviation. `loads` and `history` must not be empty."""
    return max((compare(rows, history, deviations) for rows in loads), key=lambda volume: abs(volume.deviation))


def _rows(log: float) -> int:
    return max(0, round(math.expm1(min(log, 60.0))))
