"""The page with the past of a table: charts of checks and drift."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree as ET

import pytest

from include.contracts.model import Severity
from include.quality.drift import DriftStatus
from include.quality.history_page import history_page
from include.quality.results import PastDrift, PastResult, TableHistory, page_key

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def past(back: int, *, success: bool = True, severity: Severity = Severity.WARNING, name: str = "any") -> PastResult:
    return PastResult(NOW - back * QUARTER, name, "amount", severity, success, f"{back} rows")


def drift(day: int, psi: float | None) -> PastDrift:
    status = DriftStatus.SKIPPED if psi is None else DriftStatus.OK
    return PastDrift("kind", NOW.replace(hour=0) + timedelta(days=day), 400, 100, psi, status)


def charts(page: str) -> dict[str, ET.Element]:
    """The charts by their labels."""
    found = [ET.fromstring(one) for one in re.findall(r"<svg.*?</svg>", page, re.DOTALL)]
    return {chart.attrib["aria-label"]: chart for chart in found}


def bars(chart: ET.Element) -> list[tuple[str, float, float]]:
    """Outcome, left edge and height of each bar."""
    return [(one.attrib["class"], float(one.attrib["x"]), float(one.attrib["height"])) for one in chart.iter("rect")]


def test_outcomes_of_a_check_are_in_the_order_of_time_and_failures_are_taller() -> None:
    results = [past(2), past(1, success=False), past(0, success=False, severity=Severity.CRITICAL)]
    page = history_page(TableHistory("orders", results, []), frozenset({page_key("orders", NOW)}))
    outcomes = bars(charts(page)["Outcomes of any on amount"])
    assert [one for one, _, _ in outcomes] == ["b-passed", "b-warning", "b-critical"]
    assert [left for _, left, _ in outcomes] == [0, 8, 16]
    heights = [height for _, _, height in outcomes]
    assert heights == sorted(set(heights))
    assert "<td>1 of 3</td><td>0 rows</td>" in page
    assert re.findall(r'href="\.\./(orders/[^"]+)"', page) == [page_key("orders", NOW)]


def test_failed_checks_are_stacked_in_proportion() -> None:
    results = [past(0, success=False, name=name) for name in ("one", "two", "three")]
    results += [past(0, success=False, severity=Severity.CRITICAL), past(1, success=False), past(2)]
    chart = charts(history_page(TableHistory("orders", results, []), frozenset()))["Number of failed checks over time"]
    assert bars(chart) == [("b-warning", 52, 25), ("b-critical", 60, 25), ("b-warning", 60, 75)]


def test_check_that_fails_now_is_listed_first() -> None:
    results = [past(0, name="a"), past(0, success=False, name="z")]
    page = history_page(TableHistory("orders", results, []), frozenset())
    assert page.index("z on amount") < page.index("a on amount")


def test_drift_is_a_curve_that_days_without_an_index_interrupt() -> None:
    drifts = [drift(0, 0.0), drift(1, 0.1), drift(2, None), drift(3, 0.6), drift(4, 0.2), drift(5, 0.2)]
    chart = charts(history_page(TableHistory("orders", [], drifts), frozenset()))["PSI of kind over time"]
    curves = [one.attrib["points"].split() for one in chart.iter("polyline")]
    assert [len(curve) for curve in curves] == [2, 3]
    dots = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in chart.iter("circle")]
    assert [round(x) for x, _ in dots] == [44, 172, 428, 556, 684]
    height = dots[0][1] - dots[2][1]
    assert height == pytest.approx(100 / 1.1, abs=0.1), "the largest value has room above it"
    assert dots[0][1] - dots[1][1] == pytest.approx(height / 6, abs=0.1)
    assert len(list(chart.iter("path"))) == 2, "the limits of a warning and of an error"


@pytest.mark.parametrize("drifts", [[drift(0, None)], [drift(0, 0.05)], []], ids=["skipped", "one day", "none"])
def test_short_history_has_a_page(drifts: list[PastDrift]) -> None:
    page = history_page(TableHistory("orders", [], drifts), frozenset())
    assert "No check of this table is kept." in page
    assert ("<h2>Drift</h2>" in page) == bool(drifts)


def test_page_escapes_what_it_shows_and_loads_nothing() -> None:
    result = PastResult(NOW, "any", "<b>", Severity.INFO, success=False, observed='"<i>')
    page = history_page(TableHistory("a<b", [result], [drift(0, 1.0)]), frozenset())
    assert not re.search(r"<b>|<i>|<script|src=|url\(|@import", page)
    assert "prefers-color-scheme: dark" in page
