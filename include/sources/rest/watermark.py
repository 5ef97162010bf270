"""Values of the cursor of `incremental`: which one is newer, and where the next run begins.

What belongs here: times as a source writes them. What does not: which records are taken (`reading`).

A watermark stays the text of the source, and the start of the next run has its form: the same precision, separator and
zone. Arithmetic is exact. A value that is no time of the definition's unit does not move the watermark.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from include.ingestion.readers.json_values import Number
from include.sources.elements import text_of

if TYPE_CHECKING:
    from include.sources.definition import Incremental

_ISO = re.compile(
    r"(?P<date>\d{4}-\d\d-\d\d)"
    r"((?P<joint>[Tt ])(?P<time>\d\d:\d\d(:\d\d)?)(?P<fraction>[.,]\d{1,12})?(?P<zone> ?([Zz]|[+-]\d\d(:?\d\d)?))?)?"
)
_NUMBER = re.compile(r"-?\d{1,25}(\.\d{1,25})?([eE][+-]?\d{1,2})?")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class CursorTimes:
    """The values of one cursor."""

    rules: Incremental

    def start(self, watermark: str | None) -> str | None:
        """Return the value of the start parameter, which is inclusive; None to send none."""
        if watermark is not None and self.moment(watermark) is not None:
            return self._earlier(watermark, self.rules.overlap or timedelta())
        initial = self.rules.initial_value
        return None if initial is None else text_of(initial)

    def moment(self, value: Any) -> Decimal | None:
        """Return the time of a value in seconds since 1970, for comparisons; None if it is none."""
        if not isinstance(value, str):
            return None
        if self.rules.unit == "iso":
            return None if isinstance(value, Number) else _iso_seconds(value.strip())
        if not _NUMBER.fullmatch(value):
            return None
        return Decimal(value) / 1000 if self.rules.unit == "ms" else Decimal(value)

    def latest(self, answered_at: datetime) -> Decimal:
        """Return the moment after which records of an answer are not taken, with a lag, or do not move the watermark.

        Args:
            answered_at: the API's time.
        """
        lag = self.rules.lag or timedelta()
        return _seconds(answered_at - lag)

    def _earlier(self, value: str, overlap: timedelta) -> str:
        if not overlap:
            return value
        if self.rules.unit == "iso":
            return _earlier_iso(value.strip(), overlap)
        seconds = Decimal(int(overlap.total_seconds()))
        return format(Decimal(value) - (seconds * 1000 if self.rules.unit == "ms" else seconds), "f")


def _iso_seconds(text: str) -> Decimal | None:
    parts = _ISO.fullmatch(text)
    if parts is None:
        return None
    # Without a zone it is UTC.
    zone = (parts["zone"] or "Z").strip().upper()
    try:
        moment = datetime.fromisoformat(f"{parts['date']}T{parts['time'] or '00:00'}{zone}")
    except ValueError:
        return None
    fraction = parts["fraction"]
    return _seconds(moment) + (Decimal(f"0.{fraction[1:]}") if fraction else 0)


def _earlier_iso(text: str, overlap: timedelta) -> str:
    """Return the time minus the overlap, in its own form; what the form cannot show is rounded down."""
    parts = _ISO.fullmatch(text)
    if parts is None:
        return text
    try:
        moment = datetime.fromisoformat(f"{parts['date']}T{parts['time'] or '00:00'}") - overlap
    except (ValueError, OverflowError):
        return text
    date, _, time = moment.isoformat().partition("T")
    if parts["time"] is None:
        return date
    return f"{date}{parts['joint']}{time[: len(parts['time'])]}{parts['fraction'] or ''}{parts['zone'] or ''}"


def _seconds(moment: datetime) -> Decimal:
    passed = moment - _EPOCH
    return Decimal(passed.days * 86_400 + passed.seconds) + Decimal(passed.microseconds).scaleb(-6)
