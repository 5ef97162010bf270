"""The results as text for the task log, and the error of a critical failure.

What belongs here: wording. What does not: judging single checks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from include.contracts.model import Severity
from include.errors import Code, PermanentError
from include.errors.registry import message

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.quality.records import CheckResult, TableReport

_HEADS = ("dataset", "checks", "passed", "skipped", "warnings", "critical")
_ORDER = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


def summary(reports: Sequence[TableReport]) -> list[str]:
    """Return a text table with one line per table of the warehouse, then every failed check with its remedy."""
    rows = [_HEADS, *(_row(report) for report in reports)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    lines = [_aligned(row, widths) for row in rows]
    for report in reports:
        for result in sorted(report.failed(), key=lambda each: _ORDER[each.severity]):
            lines.extend(_failure_lines(report.dataset, result))
    return lines


def stop_at_critical(reports: Sequence[TableReport]) -> None:
    """Raise an error if a critical check failed; failed checks of lower severity pass.

    Raises:
        PermanentError: a critical check failed.
    """
    failed = [(report.dataset, result) for report in reports for result in report.failed(Severity.CRITICAL)]
    if not failed:
        return
    listed = "; ".join(
        f"{dataset}: {result.name}: expected {result.expected}, observed {result.observed}"
        for dataset, result in failed
    )
    raise PermanentError(Code.QUALITY_CRITICAL, message(Code.QUALITY_CRITICAL, checks=listed), failed=len(failed))


def _row(report: TableReport) -> tuple[str, ...]:
    counts = report.counts
    return (report.dataset, *(str(counts[name]) for name in _HEADS[1:]))


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    numbers = (cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))
    return "  ".join([row[0].ljust(widths[0]), *numbers])


def _failure_lines(dataset: str, result: CheckResult) -> Iterator[str]:
    yield f"{result.severity.upper()} {dataset}: {result.name}"
    yield f"    observed: {result.observed}"
    yield f"    expected: {result.expected}"
    if result.remedy:
        yield f"    remedy: {result.remedy}"
