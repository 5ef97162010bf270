"""What was measured: a table for people and `.local/bench.json` for programs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from rich.table import Table

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console


@dataclass(frozen=True)
class Measurement:
    """One figure. `limit` is the most that is wanted, None where the figure only informs."""

    name: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the figure is within its limit."""
        return self.limit is None or self.value <= self.limit


def show(measurements: list[Measurement], console: Console) -> None:
    """Print the table."""
    table = Table(title=None, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, justify in (
        ("MEASURED", "left"),
        ("VALUE", "right"),
        ("UNIT", "left"),
        ("LIMIT", "right"),
        ("", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for m in measurements:
        limit = "" if m.limit is None else f"{m.limit:,.6g}"
        verdict = "" if m.limit is None else "[green]ok[/]" if m.ok else "[red]over[/]"
        table.add_row(m.name, f"{m.value:,.2f}" if m.value < 1000 else f"{m.value:,.0f}", m.unit, limit, verdict)
    console.print(table)


def write(measurements: list[Measurement], path: Path) -> None:
    """Write a list of objects with name, value, unit, limit, ok."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(m), "value": round(m.value, 4), "ok": m.ok} for m in measurements]
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
