"""What is asked of a table, what was seen, and how the two are written down.

What belongs here: plain records. What does not: finding out.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from include.contracts.model import Severity

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Check:
    """One expectation of Great Expectations over a whole table. `remedy` is a query to look with, or what to do."""

    expectation: str
    kwargs: tuple[tuple[str, Any], ...]
    severity: Severity
    remedy: str

    @property
    def column(self) -> str | None:
        """The column it is about, if it is one."""
        return dict(self.kwargs).get("column")


@dataclass(frozen=True)
class CheckResult:
    """What one check saw: a row of ops.quality_result."""

    expectation: str
    column: str | None
    severity: Severity
    success: bool
    observed: str
    expected: str
    remedy: str = ""

    @property
    def name(self) -> str:
        """What people call it: the expectation, and its column if it has one."""
        return f"{self.expectation} on {self.column}" if self.column else self.expectation


@dataclass
class TableReport:
    """All results of one table. `evaluated` holds the library's own results, for the pages, in no order."""

    dataset: str
    checked_at: datetime
    results: list[CheckResult] = field(default_factory=list)
    evaluated: list[tuple[CheckResult, Any]] = field(default_factory=list)

    def failed(self, severity: Severity | None = None) -> list[CheckResult]:
        """What did not succeed, of one severity or of all."""
        return [result for result in self.results if not result.success and severity in {None, result.severity}]

    @property
    def counts(self) -> dict[str, int]:
        """How many checks, and how they went."""
        failed = Counter(result.severity for result in self.failed())
        return {
            "checks": len(self.results),
            "passed": sum(result.success for result in self.results),
            "critical": failed[Severity.CRITICAL],
            "warnings": failed[Severity.WARNING],
            "infos": failed[Severity.INFO],
        }
