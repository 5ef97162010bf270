"""Which formats of dates and times a draft looks for, and when a column of them is a guess good enough.

What belongs here: the formats, and doubt about their order. What does not: which text fits a format
(`include.contracts.date_formats`).

With a year of two digits three numbers may be anything: a version, a time, a part number. With dots, such a column
stays text unless its name says that it holds dates; else a day beyond 12 must show the order. Each number must have two
digits.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from include.contracts.date_formats import format_pattern
from include.contracts.expressions import literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_DAYS = ("%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d", "%d-%m-%Y", "%m-%d-%Y")
_SHORT = ("%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%m-%y")
_NAMED = ("%d-%b-%Y", "%d %b %Y", "%b %d, %Y", "%d %B %Y", "%B %d, %Y", "%d-%b-%y")
_TIMES = ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%I:%M %p", "%I:%M:%S %p")
DAY_FORMATS = (*_DAYS, *_SHORT, *_NAMED)
MOMENT_FORMATS = tuple(f"{day} {time}" for day in (*_DAYS, *_SHORT, *_NAMED) for time in _TIMES)
_ORDERED = frozenset({"%d/", "%m/", "%d-", "%m-"})
_DATE_NAME = re.compile(
    r"(date|datum|tag|day|valuta|wert|wertstellung|buchung|faellig|fecha|data|datetime|time|zeit|zeitpunkt|timestamp|"
    r"created|updated|modified|geburt\w*|birth\w*|dob|dato|pvm|kuupaev)s?(_|$)|(^|_)(am|at|on|vom|bis|von|until|since)$"
)
VERSION_NAME = re.compile(
    r"(^|_)(version|versions|ver|release|build|revision|rev|firmware|fw|software|sw|driver|patch|kernel)(_|$)|version$"
)


def tests_of(name: str, example: str | None) -> Mapping[str, str]:
    """A DuckDB condition over all texts `v` of a column for each format that one of them fits; none for a version."""
    if example is None or VERSION_NAME.search(name):
        return {}
    fitting = [form for form in (*DAY_FORMATS, *MOMENT_FORMATS) if re.fullmatch(format_pattern(form), example)]
    return {form: _test(form, name) for form in fitting}


def _test(form: str, name: str) -> str:
    pattern = format_pattern(form)
    test = (
        f"bool_and(regexp_full_match(v, {literal(pattern)})) "
        f"AND bool_and(v IS NULL OR try_strptime(v, {literal(form)}) IS NOT NULL)"
    )
    if "%y" not in form or "%b" in form:
        return test
    strict = f"bool_and(regexp_full_match(v, {literal(pattern.replace('[0-9]{1,2}', '[0-9]{2}', 2))}))"
    if "." in form[:3]:
        # 20.04.12 is a day, and a release of Ubuntu.
        return f"{test} AND {strict}" if _DATE_NAME.search(name) else "false"
    day_at = 1 if form.startswith("%d") else 4
    return f"{test} AND {strict} AND bool_or(TRY_CAST(substr(v, {day_at}, 2) AS INTEGER) > 12)"


def order_of(columns: Iterable[Sequence[str]]) -> str:
    """`%d` or `%m`, whichever comes first in all columns of a file whose values show it; empty if they differ.

    Args:
        columns: the formats that all values of each column fit, days before months first.
    """
    found = {formats[0][:2] for formats in columns if len(formats) == 1 and formats[0][:3] in _ORDERED}
    return found.pop() if len(found) == 1 else ""


def in_order(formats: Sequence[str], order: str) -> tuple[str, ...]:
    """The formats of a column with those of the file's order first."""
    if len(formats) < 2 or not order:
        return tuple(formats)
    return tuple(sorted(formats, key=lambda form: not form.startswith(order)))


def chosen(formats: list[str]) -> tuple[tuple[str, ...], str]:
    """The format of a column of which all values fit these ones, and a doubt. The likelier one comes first."""
    if not formats:
        return (), ""
    doubt = ""
    if len(formats) > 1:
        doubt = f"dates fit {' and '.join(formats)} alike; the first is assumed"
    if "%y" in formats[0]:
        doubt = "; ".join(filter(None, (doubt, "years of two digits: 69 to 99 are 19xx, 00 to 68 are 20xx")))
    return (formats[0],), doubt
