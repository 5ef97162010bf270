"""Dates and times by a contract's formats, by the list in docs/values.md, implemented a second time.

What belongs here: the specifiers that the case generator writes, and numbers since 1970. What does not: ISO 8601
(`values`).
"""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from fractions import Fraction

_PIVOT = 69  # of %y: 69 to 99 are 1969 to 1999, 00 to 68 are 2000 to 2068
_IN_A_SECOND = {"epoch-seconds": 1, "epoch-milliseconds": 1000}


def by_format(text: str, formats: tuple[str, ...]) -> datetime | None:
    """The moment that a text means by the first format that it fits; None if it fits none."""
    for form in formats:
        if form in _IN_A_SECOND:
            if (moment := _since_1970(text, form)) is not None:
                return moment
        elif match := re.fullmatch(_pattern(form), text):
            try:
                return _moment({name: int(digits) for name, digits in match.groupdict().items()})
            except ValueError:  # 31 February
                continue
    return None


def _since_1970(text: str, form: str) -> datetime | None:
    """The moment of a number of seconds, to the microsecond, or of whole milliseconds."""
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]*)?", text):
        return None
    number = Fraction(text.removesuffix("."))
    count = number * 10**6 / _IN_A_SECOND[form]
    if count.denominator != 1 or (form == "epoch-milliseconds" and number.denominator != 1):
        return None
    try:
        return datetime(1970, 1, 1) + timedelta(microseconds=int(count))  # noqa: DTZ001 - the caller gives the zone
    except OverflowError:
        return None


def _moment(found: dict[str, int]) -> datetime:
    year = found["Y"] if "Y" in found else found["y"] + (1900 if found["y"] >= _PIVOT else 2000)
    hour, minute, second = (found.get(name, 0) for name in "HMS")
    return datetime(year, found["m"], found["d"], hour, minute, second)  # noqa: DTZ001 - the caller gives the zone


def _pattern(form: str) -> str:
    """Four digits for %Y, two for %y, one or two for the others, but two beside another number."""
    texts, names = re.split("%.", form), re.findall("%(.)", form)
    parts = [re.escape(texts[0])]
    for at, name in enumerate(names):
        beside = (at > 0 and not texts[at]) or (at + 1 < len(names) and not texts[at + 1])
        width = {"Y": "{4}", "y": "{2}"}.get(name, "{2}" if beside else "{1,2}")
        parts += [f"(?P<{name}>[0-9]{width})", re.escape(texts[at + 1])]
    return "".join(parts)
