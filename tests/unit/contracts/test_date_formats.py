"""Formats that a contract adds: which are accepted, and that a text fits only with all its digits."""

import re
from datetime import datetime
from itertools import product

import duckdb
import pytest

from include.contracts.date_formats import format_pattern, format_problem
from include.contracts.model import ColumnType

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("form", "kind"),
    [
        ("%d.%m.%Y", ColumnType.DATE),
        ("%-d/%-m/%Y", ColumnType.DATE),
        ("%d %b %y", ColumnType.DATE),
        ("%A, %d %B %Y", ColumnType.DATE),
        ("100%% %Y%m%d", ColumnType.DATE),
        ("%d.%m.%Y %H:%M", ColumnType.DATE),
        ("%m/%d/%Y %I:%M:%S.%f %p", ColumnType.TIMESTAMP),
        ("%Y-%m-%dT%H:%M:%S%z", ColumnType.TIMESTAMPTZ),
    ],
)
def test_format_problem_accepts_a_complete_date(form: str, kind: ColumnType) -> None:
    assert format_problem(form, kind) is None


@pytest.mark.parametrize(
    ("form", "kind", "word"),
    [
        pytest.param("%Y-%m-%dT%H:%M:%S%z", ColumnType.TIMESTAMP, "offset", id="offset-in-timestamp"),
        pytest.param("%d.%m.%Y%z", ColumnType.DATE, "offset", id="offset-in-date"),
        pytest.param("%d.%m.%Y %H:%M %Z", ColumnType.TIMESTAMPTZ, "%Z is not read", id="zone-name"),
        pytest.param("%Y %j", ColumnType.DATE, "%j is not read", id="day-of-the-year"),
        pytest.param("%G-W%V-%u", ColumnType.DATE, "%G is not read", id="week"),
        pytest.param("%x", ColumnType.DATE, "%x is not read", id="locale"),
        pytest.param("%m/%Y", ColumnType.DATE, "no day", id="no-day"),
        pytest.param("%d.%m.", ColumnType.DATE, "no year", id="no-year"),
        pytest.param("%H:%M", ColumnType.TIMESTAMP, "no year (%Y) and no month (%m) and no day", id="only-a-time"),
        pytest.param("%d.%m.%Y %I:%M", ColumnType.TIMESTAMP, "%I means nothing without %p", id="half-of-the-day"),
        pytest.param("%d.%m.%Y %H:%M %p", ColumnType.TIMESTAMP, "%p means nothing without %I", id="24-hours-and-pm"),
        pytest.param("%d.%m.%Y %M", ColumnType.TIMESTAMP, "%M means nothing", id="minutes-alone"),
        pytest.param("%d.%d.%m.%Y", ColumnType.DATE, "more than once", id="day-twice"),
        pytest.param("%d.%m.%Y %", ColumnType.DATE, "% is not read", id="lone-percent"),
    ],
)
def test_format_problem_names_the_reason(form: str, kind: ColumnType, word: str) -> None:
    assert word in (format_problem(form, kind) or "")


@pytest.mark.parametrize("form", ["%d%m%Y", "%Y%m%d%H%M%S", "%d.%m.%Y", "%y%m%d", "%d.%m.%y", "%Y-%m-%d %H:%M:%S.%f"])
def test_format_pattern_allows_strptime_only_one_reading(form: str) -> None:
    """A text that fits is read as the date of its fields: no digit goes to another field, and none is added."""
    pattern = re.compile(format_pattern(form), re.ASCII)
    digits = [part for part in re.split("([^%a-zA-Z])", form) if part]
    assert digits
    with duckdb.connect() as connection:
        for day, month, year, hour in product(
            ("1", "01", "11", "31"), ("1", "01", "11"), ("6", "26", "026", "2026"), ("5", "15")
        ):
            values = {"%d": day, "%m": month, "%Y": year, "%y": year, "%H": hour, "%M": "07", "%S": "09", "%f": "5"}
            text = re.sub("%.", lambda match: values[match[0]], form)  # noqa: B023
            if not pattern.fullmatch(text):
                continue
            read = connection.execute("SELECT try_strptime(?, ?)", [text, form]).fetchone()[0]
            if read is not None:
                clock = int(hour) if "%H" in form else 0
                expected = datetime(2000 + int(year[-2:]), int(month), int(day), clock)  # noqa: DTZ001
                assert read.replace(minute=0, second=0, microsecond=0) == expected, text
