"""The window of rows that a run reads: from behind the last window up to an end that is fixed before rows are read.

What belongs here: both ends, by the kind of cursor, and their texts in the position. What does not: the SQL around
them (`query`).

A row that is committed late has a cursor inside a window that was read. `overlap` reads so much of it again; with
`lag` a window ends so far behind the present that such a transaction has ended.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

from include.errors import Code, PermanentError
from include.sources.database.definition import DEFAULT_OVERLAP

if TYPE_CHECKING:
    from include.sources.database.columns import CursorKind
    from include.sources.database.definition import Window
    from include.sources.listing import Position

End = datetime | date | int
# In a position: the last run reached a limit, so its last value may have more rows.
UNFINISHED = "unfinished"


@dataclass(frozen=True)
class Bounds:
    """The ends of a window. Both None: there is nothing to read.

    Attributes:
        lower: None: from the first row on.
        upper: None: the table has no row with a cursor.
        includes_lower: whether rows at the lower end are read.
    """

    lower: End | None
    upper: End | None
    includes_lower: bool = True


def bounds(window: Window, kind: CursorKind, position: Position, newest: End | None) -> Bounds:
    """The window of this run.

    Args:
        window: of the definition.
        kind: of the cursor.
        position: where the last run ended.
        newest: the server's present time in the cursor's zone, or the largest number; None: there are no rows.

    Raises:
        PermanentError: initialValue, overlap or lag does not fit the kind of cursor.
    """
    lag = _step(window.lag, kind, "lag")
    upper = None if newest is None else _minus(newest, lag)
    if position.watermark is None:
        lower = None if window.initial_value is None else _read(str(window.initial_value), kind, "initialValue")
        return Bounds(lower, upper)
    watermark = _read(position.watermark, kind, "cursor")
    if position.next_page:
        return Bounds(watermark, upper)
    overlap = window.overlap
    if overlap is None and window.lag is None and kind != "number":
        overlap = DEFAULT_OVERLAP
    lower = _minus(watermark, _step(overlap, kind, "overlap"))
    # Later rows of the last day are not younger than the watermark, which is a day.
    return Bounds(lower, upper, includes_lower=overlap is not None or kind == "day")


def text_of(end: End) -> str:
    """An end as the position keeps it."""
    return end.isoformat(sep=" ") if isinstance(end, datetime) else str(end)


def later(one: End, other: str | None, kind: CursorKind) -> bool:
    """Whether an end is behind the watermark of a position."""
    return other is None or one > _read(other, kind, "cursor")  # type: ignore[operator]  # both are of this kind


def _read(text: str, kind: CursorKind, key: str) -> End:
    try:
        if kind == "number":
            return int(text)
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        wanted = "a whole number" if kind == "number" else "a time such as 2026-01-31 12:00:00"
        message = f"incremental.{key} {text!r} does not fit the column: write {wanted}."
        raise PermanentError(Code.SOURCE_REFUSED, message) from error
    if kind == "day":
        return moment.date()
    if kind == "instant":
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    if moment.tzinfo is not None:  # the wall clock of UTC
        return moment.astimezone(UTC).replace(tzinfo=None)
    return moment


def _step(amount: timedelta | int | None, kind: CursorKind, key: str) -> timedelta | int | None:
    if amount is None or isinstance(amount, int) == (kind == "number"):
        return amount
    wanted = "a whole number, as the column has numbers" if kind == "number" else "a duration such as 10m"
    raise PermanentError(Code.SOURCE_REFUSED, f"incremental.{key} does not fit the column: write {wanted}.")


def _minus(end: End, amount: timedelta | int | None) -> End:
    if amount is None:
        return end
    if isinstance(end, date) and not isinstance(end, datetime) and isinstance(amount, timedelta):
        return end - timedelta(days=-(-amount // timedelta(days=1)))  # a part of a day is a day
    return end - amount  # type: ignore[operator]  # both are of one kind: `_step`
