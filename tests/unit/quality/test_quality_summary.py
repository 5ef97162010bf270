"""The summary in the log, the pages, and when a check fails its task."""

from datetime import UTC, datetime

import pytest

from include.contracts.model import Severity
from include.errors import Code, PermanentError
from include.quality.pages import index_page, self_contained
from include.quality.records import CheckResult, TableReport
from include.quality.results import CheckRun
from include.quality.summary import stop_at_critical, summary

pytestmark = pytest.mark.unit

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def result(severity: Severity, *, success: bool) -> CheckResult:
    return CheckResult(f"{severity}_rule", "amount", severity, success, "3 rows", "none", "SELECT 1")


def report(*results: CheckResult) -> TableReport:
    return TableReport("orders", NOW, list(results))


def test_summary_counts_and_lists_the_most_severe_first() -> None:
    lines = summary(
        [
            report(
                result(Severity.INFO, success=True),
                result(Severity.WARNING, success=False),
                result(Severity.CRITICAL, success=False),
            )
        ]
    )
    assert lines[0].split() == ["dataset", "checks", "passed", "skipped", "warnings", "critical"]
    assert lines[1].split() == ["orders", "3", "1", "0", "1", "1"]
    assert lines[2:6] == [
        "CRITICAL orders: critical_rule on amount",
        "    observed: 3 rows",
        "    expected: none",
        "    remedy: SELECT 1",
    ]
    assert lines[6].startswith("WARNING orders")
    assert len(lines) == 10


@pytest.mark.parametrize("severity", [Severity.WARNING, Severity.INFO])
def test_failures_below_critical_let_the_task_pass(severity: Severity) -> None:
    stop_at_critical([report(result(severity, success=False), result(Severity.CRITICAL, success=True))])


def test_critical_failure_raises_with_the_observed_value() -> None:
    with pytest.raises(
        PermanentError, match=r"orders: critical_rule on amount: expected none, observed 3 rows"
    ) as caught:
        stop_at_critical([report(result(Severity.CRITICAL, success=False))])
    assert caught.value.code is Code.QUALITY_CRITICAL


def test_page_loads_nothing_from_other_hosts() -> None:
    html = (
        '<head><link rel="stylesheet" href="https://cdn.example/x.css"><script src="https://cdn.example/x.js"></script>'
        '</head><body><img src="https://cdn.example/x.png"><a href="../../../../index.html">Home</a>'
        '<a href="../../expectations/orders.html">orders</a><script>go()</script></body>'
    )
    page = self_contained(html)
    assert "cdn.example" not in page
    assert "<script" not in page
    assert 'href="../index.html"' in page
    assert "expectations/orders.html" not in page


def test_index_links_to_the_newest_page_of_each_table() -> None:
    newest, older = (CheckRun("orders", NOW.replace(hour=hour), 9, 8, 0, 1) for hour in (12, 11))
    page = index_page([newest, older], frozenset({newest.key}))
    now, _, before = page.partition("Earlier checks")
    assert f'<a href="{newest.key}">orders</a>' in now
    assert older.key not in page
    assert "11:00:00" in before


def test_index_escapes_what_it_shows() -> None:
    run = CheckRun("<b>", NOW, 1, 1, 0, 0)
    assert "<b>" not in index_page([run], frozenset({run.key}))
