"""Watermarks: which value is newer, and where the next run begins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from include.ingestion.readers.json_values import Number
from include.sources.definition import Incremental
from include.sources.rest.watermark import CursorTimes

pytestmark = pytest.mark.unit


def times(**keys: Any) -> CursorTimes:
    return CursorTimes(Incremental.model_validate({"cursor": "at", **keys}))


@pytest.mark.parametrize(
    ("unit", "watermark", "overlap", "start"),
    [
        pytest.param("iso", "2026-12-01T10:00:00Z", "10m", "2026-12-01T09:50:00Z", id="Z"),
        pytest.param(
            "iso", "2026-12-01T00:00:00.123456789+05:30", "1s", "2026-11-30T23:59:59.123456789+05:30", id="ns"
        ),
        pytest.param("iso", "2026-12-01 10:00:00", "1h", "2026-12-01 09:00:00", id="blank, no zone"),
        pytest.param("iso", "2026-12-01T10:00", "30s", "2026-12-01T09:59", id="minutes, rounded down"),
        pytest.param("iso", "2026-12-01", "1m", "2026-11-30", id="day, rounded down"),
        pytest.param("iso", "2026-12-01T10:00:00+0100", "1d", "2026-11-30T10:00:00+0100", id="short zone"),
        pytest.param("iso", "0001-01-01T00:00:00Z", "1d", "0001-01-01T00:00:00Z", id="first day of the calendar"),
        pytest.param("iso", "2026-12-01T10:00:00Z", None, "2026-12-01T10:00:00Z", id="no overlap"),
        pytest.param("s", "1764583200", "10m", "1764582600", id="seconds"),
        pytest.param("s", "1764583200.25", "1s", "1764583199.25", id="seconds with a fraction"),
        pytest.param("s", "1.7645832E9", "10m", "1764582600", id="seconds with an exponent"),
        pytest.param("ms", "1764583200001", "1s", "1764583199001", id="milliseconds"),
        pytest.param("ms", "9007199254740993", "1s", "9007199254739993", id="beyond a double"),
    ],
)
def test_start_is_the_watermark_minus_the_overlap_in_its_own_form(
    unit: str, watermark: str, overlap: str | None, start: str
) -> None:
    keys = {"overlap": overlap} if overlap else {}
    assert times(unit=unit, **keys).start(watermark) == start


@pytest.mark.parametrize("watermark", [None, "01.12.2026"], ids=["none", "of another unit"])
def test_without_a_usable_watermark_the_start_is_the_initial_value(watermark: str | None) -> None:
    assert times(overlap="10m", initialValue="2024-01-01T00:00:00Z").start(watermark) == "2024-01-01T00:00:00Z"
    assert times(unit="ms", initialValue=0).start(watermark) == "0"
    assert times().start(watermark) is None


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2026-12-01T10:00:00Z", "2026-12-01T10:00:01Z"),
        ("2026-12-01T10:00:00.1234567Z", "2026-12-01T10:00:00.1234568Z"),
        ("2026-12-01T12:00:00+05:00", "2026-12-01T10:00:00Z"),
        ("2026-12-01", "2026-12-01T00:00:01"),
        ("2026-12-01T10:00:00,5Z", "2026-12-01T10:00:00.6z"),
    ],
)
def test_times_are_compared_as_times(earlier: str, later: str) -> None:
    first, second = times().moment(earlier), times().moment(later)
    assert first is not None
    assert second is not None
    assert first < second


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("iso", "yesterday"), ("iso", "2026-13-01T00:00:00Z"), ("iso", Number("20261201")), ("iso", None), ("iso", {}),
        ("iso", ""), ("s", "soon"), ("s", "1e999999999"), ("s", "1" * 99), ("s", True), ("ms", None), ("s", "NaN"),
    ],
)  # fmt: skip
def test_value_that_is_no_time_of_the_unit_is_none(unit: str, value: Any) -> None:
    assert times(unit=unit).moment(value) is None


def test_numbers_are_read_by_their_unit() -> None:
    assert times(unit="s").moment(Number("1764583200")) == times(unit="ms").moment("1764583200000")


def test_latest_moment_is_that_of_the_answer_minus_the_lag() -> None:
    at = datetime(2026, 12, 1, 10, 0, tzinfo=UTC)
    assert times().latest(at) == times().moment("2026-12-01T10:00:00Z") == Decimal(int(at.timestamp()))
    assert times(lag="10m").latest(at) == times().moment("2026-12-01T09:50:00Z")
    assert times().latest(at.astimezone(timezone(timedelta(hours=5)))) == times().moment("2026-12-01T10:00:00Z")
