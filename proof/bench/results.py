"""Measurements: the printed table and the JSON file (`.local/bench.json`)."""

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
    """One figure. `limit` is the highest wanted value, `least` the lowest; a figure without both only informs."""

    name: str
    value: float
    unit: str
    limit: float | None = None
    least: float | None = None

    @property
    def ok(self) -> bool:
        """Whether the figure is within its limits."""
        return (self.limit is None or self.value <= self.limit) and (self.least is None or self.value >= self.least)

    @property
    def wanted(self) -> str:
        """The limit as text; empty without one."""
        if self.least is not None:
            return f"≥ {self.least:,.6g}"
        return "" if self.limit is None else f"≤ {self.limit:,.6g}"


def show(measurements: list[Measurement], console: Console) -> None:
    """Print the table."""
    table = Table(title=None, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for heading, justify in (
        ("MEASURED", "left"),
        ("VALUE", "right"),
        ("UNIT", "left"),
        ("WANTED", "right"),
        ("", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for m in measurements:
        verdict = "" if not m.wanted else "[green]ok[/]" if m.ok else "[red]missed[/]"
        table.add_row(m.name, f"{m.value:,.2f}" if m.value < 1000 else f"{m.value:,.0f}", m.unit, m.wanted, verdict)
    console.print(table)


def write(measurements: list[Measurement], path: Path) -> None:
    """Write a list of objects with name, value, unit, limit, least, ok."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{**asdict(m), "value": round(m.value, 4), "ok": m.ok} for m in measurements]
    path.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
