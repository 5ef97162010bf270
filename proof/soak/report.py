"""Findings of the soak, as a table and as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from rich.table import Table

from proof.soak.judge import Judgement, Latency, Verdict, slower

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

_STYLES = {Verdict.FLAT: "green", Verdict.EXPLAINED: "yellow", Verdict.GROWS: "bold red"}


@dataclass
class Findings:
    """All findings. `unsettled` are complaints about files and rows; `removed` is what maintain_platform deleted."""

    minutes: float
    judgements: list[Judgement]
    first: Latency | None
    last: Latency | None
    load: dict[str, int]
    removed: dict[str, Any]
    unsettled: list[str] = field(default_factory=list)

    @property
    def complaints(self) -> list[str]:
        """All failures, one sentence each."""
        grows = [f"{one.name} ({one.unit}) grows" for one in self.judgements if one.verdict is Verdict.GROWS]
        late = ["files take longer at the end than at the beginning"] if slower(self.first, self.last) else []
        return [*grows, *late, *self.unsettled]


def show(findings: Findings, console: Console) -> None:
    """Print the tables."""
    table = Table("what", "unit", "start", "end", "an hour", "verdict", "why", title=f"{findings.minutes:g} minutes")
    for column in table.columns[2:5]:
        column.justify = "right"
    for one in findings.judgements:
        verdict = f"[{_STYLES[one.verdict]}]{one.verdict}[/]"
        numbers = (_number(one.start), _number(one.end), f"{one.slope:+,.0f}")
        table.add_row(one.name, one.unit, *numbers, verdict, one.explained)
    console.print(table)
    times = Table("drop to loaded", "files", "median", "95 of 100", "worst", title="seconds")
    for name, found in (("first fifth", findings.first), ("last fifth", findings.last)):
        if found is not None:
            times.add_row(name, str(found.files), *(f"{n:.1f}" for n in (found.median, found.p95, found.worst)))
    console.print(times)
    console.print("Load: " + ", ".join(f"{count:,} {name}" for name, count in findings.load.items()))
    for task, removed in findings.removed.items():
        console.print(f"maintain_platform, {task}: {removed}")
    for complaint in findings.complaints:
        console.print(f"[bold red]{complaint}[/]")
    console.print(
        "nothing grows without a reason, and every file is settled" if not findings.complaints else "NOT flat"
    )


def write(findings: Findings, path: Path) -> None:
    """Write the findings as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**asdict(findings), "complaints": findings.complaints}, indent=2, default=str) + "\n")


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.1f}"
