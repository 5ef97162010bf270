"""The formats that a contract may add for dates and times, and which text fits one.

What belongs here: the allowed specifiers of strptime, and how many digits each takes; times as numbers since 1970. What
does not: reading a value (`type_sql`).

strptime alone accepts too much: 26 for the year of %Y, day 366 of any year, an hour of %I without %p; and a format
without a day gives the first of the month.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from include.contracts.types import ColumnType

_ONE_OR_TWO = "[0-9]{1,2}"
_FIELDS = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": _ONE_OR_TWO,
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]+",
    "d": _ONE_OR_TWO,
    "a": "[A-Za-z]{3}",
    "A": "[A-Za-z]+",
    "H": _ONE_OR_TWO,
    "I": _ONE_OR_TWO,
    "M": _ONE_OR_TWO,
    "S": _ONE_OR_TWO,
    "f": "[0-9]{1,6}",
    "p": "[AaPp][Mm]",
    "z": "[+-]([01][0-9]|2[0-3])(:?[0-5][0-9])?",
}
_NUMERIC = frozenset("YymdHIMSf")
_TIME = frozenset("HIMSfpz")
_TOKEN = re.compile(r"%-?(.)|([^%]+)|%", re.DOTALL)
# Each specifier needs one of the others.
_NEEDS = {"I": "p", "p": "I", "M": "HI", "S": "M", "f": "S"}
_DAY = (("Yy", "year (%Y)"), ("mbB", "month (%m)"), ("d", "day (%d)"))
_ONCE = ("Yy", "mbB", "d", "HI", "M", "S", "f", "p", "z", "aA")


@dataclass(frozen=True)
class Epoch:
    """A time as a number since 1970-01-01T00:00:00Z.

    Attributes:
        pattern: a regular expression (RE2) for the texts of whole microseconds.
        decimals: that a number of the unit has if it is written to the microsecond.
    """

    pattern: str
    decimals: int


# As for whole numbers, there may be a point with zeros: software without a nullable integer type writes 1 as 1.0.
EPOCHS = {
    "epoch-seconds": Epoch("-?[0-9]+([.][0-9]{0,6}0*)?", 6),
    "epoch-milliseconds": Epoch("-?[0-9]+([.]0*)?", 3),
}


def is_format(text: str) -> bool:
    """Whether a text is written as a format: with a specifier of strptime, or as a unit since 1970."""
    return "%" in text or text in EPOCHS


def format_problem(form: str, kind: ColumnType) -> str | None:
    """Why a format cannot be used for a column of this type; None if it can."""
    if form in EPOCHS:
        return None if kind.has_time else "a number since 1970 has a time of day, which only a timestamp column keeps"
    fields = [match[1] for match in _TOKEN.finditer(form) if match[2] is None and match[1] != "%"]
    for field in fields:
        if field is None or field not in _FIELDS:
            return f"%{field or ''} is not read in formats; known are {', '.join('%' + name for name in _FIELDS)}"
    if "z" in fields and not kind.has_zone:
        return "a value with an offset (%z) is a moment, and only a timestamptz column keeps it"
    if missing := [name for names, name in _DAY if not set(names) & set(fields)]:
        return f"it has no {' and no '.join(missing)}, which would be made up"
    for field, needed in _NEEDS.items():
        if field in fields and not set(needed) & set(fields):
            return f"%{field} means nothing without {' or '.join('%' + name for name in needed)}"
    for names in _ONCE:
        if sum(fields.count(name) for name in names) > 1:
            return f"it has {' or '.join('%' + name for name in names)} more than once"
    return None


def has_time(form: str) -> bool:
    """Whether a format names more than the day."""
    return any(match[1] in _TIME for match in _TOKEN.finditer(form) if match[2] is None)


def format_pattern(form: str) -> str:
    """A regular expression (RE2) for the texts that fit a format: numbers of the right width, other characters as is.

    A number next to another one must have all its digits: 1112026 as %d%m%Y would have two readings.
    """
    tokens = [(match[1], match[2] or "") for match in _TOKEN.finditer(form)]
    parts = []
    for at, (field, text) in enumerate(tokens):
        if text or field == "%":
            parts.append(re.escape(text or "%"))
            continue
        beside = (_is_number(tokens, at - 1, -1), _is_number(tokens, at + 1, 0))
        width = _FIELDS[field]
        parts.append("[0-9]{2}" if width == _ONE_OR_TWO and any(beside) else width)
    return "".join(parts)


def _is_number(tokens: list[tuple[str | None, str]], at: int, nearest: int) -> bool:
    if not 0 <= at < len(tokens):
        return False
    field, text = tokens[at]
    return text[nearest].isdigit() if text else field in _NUMERIC
