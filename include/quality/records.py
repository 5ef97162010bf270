"""Records of the checks of a table and their results.

What belongs here: plain records. What does not: running checks.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.contracts.model import Severity

if TYPE_CHECKING:
    from datetime import datetime

    from include.quality.drift import ColumnDrift
    from include.quality.results import TableHistory


@dataclass(frozen=True)
class TableCheck:
    """One expectation of Great Expectations about a whole table. `remedy` is a query to run, or what to do."""

    expectation: str
    kwargs: tuple[tuple[str, Any], ...]
    severity: Severity
    remedy: str

    @property
    def column(self) -> str | None:
        """Return the column of the check; None if it is about the table or several columns."""
        return dict(self.kwargs).get("column")


@dataclass(frozen=True)
class CheckResult:
    """The result of one check: a row of ops.quality_result. A `skipped` one had nothing to check: a success."""

    expectation: str
    column: str | None
    severity: Severity
    success: bool
    observed: str
    expected: str
    remedy: str = ""
    skipped: bool = False

    @property
    def name(self) -> str:
        """Return the display name: the expectation, and its column if it has one."""
        return f"{self.expectation} on {self.column}" if self.column else self.expectation


@dataclass
class TableReport:
    """All results of one table. `evaluated` holds the library's own results for the pages, unordered.

    `drifts` are the comparisons of distributions; what they mean is among the results, too. `history` is the past of
    the table, with these results; None until they are stored.
    """

    dataset: str
    checked_at: datetime
    results: list[CheckResult] = field(default_factory=list)
    evaluated: list[tuple[CheckResult, Any]] = field(default_factory=list)
    drifts: list[ColumnDrift] = field(default_factory=list)
    history: TableHistory | None = None

    def failed(self, severity: Severity | None = None) -> list[CheckResult]:
        """Return the failed checks of one severity, or of all."""
        return [result for result in self.results if not result.success and severity in {None, result.severity}]

    @property
    def counts(self) -> dict[str, int]:
        """Return the number of checks by outcome. Skipped ones are among the passed."""
        failed = Counter(result.severity for result in self.failed())
        return {
            "checks": len(self.results),
            "passed": sum(result.success for result in self.results),
            "skipped": sum(result.skipped for result in self.results),
            "critical": failed[Severity.CRITICAL],
            "warnings": failed[Severity.WARNING],
            "infos": failed[Severity.INFO],
        }
