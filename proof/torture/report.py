"""The report of a torture run: faults by kind with the time to the next loaded file, and the checks.

What belongs here: sums, tables and files. What does not: the checks themselves (`checks`).
"""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.table import Table

from proof.torture.schedule import Kind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from rich.console import Console

    from proof.torture.checks import FinalCheck
    from proof.torture.faults import FaultResult

LOG, REPORT = "torture.jsonl", "torture.json"


@dataclass(frozen=True)
class KindSummary:
    """Faults of one kind: how many, how many were tried, and the seconds from a fault to the next loaded file."""

    kind: Kind
    faults: int
    tried: int
    median: float | None
    slowest: float | None


def by_kind(done: Sequence[FaultResult], loads: Sequence[float]) -> list[KindSummary]:
    """Summarise the faults by kind.

    Args:
        done: the faults.
        loads: when files were loaded, in seconds since the epoch, in order.
    """
    found = []
    for kind in Kind:
        of_kind = [fault for fault in done if fault.kind is kind]
        if not of_kind:
            continue
        tried = [fault for fault in of_kind if fault.tried]
        seconds = [next((load - fault.at for load in loads if load > fault.at), None) for fault in tried]
        known = [one for one in seconds if one is not None]
        found.append(
            KindSummary(
                kind=kind,
                faults=len(of_kind),
                tried=len(tried),
                median=round(statistics.median(known), 1) if known else None,
                slowest=round(max(known), 1) if known else None,
            )
        )
    return found


def longest_silence(done: Sequence[FaultResult], loads: Sequence[float]) -> float:
    """Return the longest time, in seconds, without a loaded file between the first fault and the last.

    Args:
        done: the faults, in their order.
        loads: when files were loaded, in seconds since the epoch, in order.
    """
    if not done:
        return 0.0
    first, last = done[0].at, done[-1].at
    times = [first, *(load for load in loads if first < load < last), last]
    return max(later - earlier for earlier, later in pairwise(times))


def show(console: Console, faults: Sequence[KindSummary], checks: Sequence[FinalCheck]) -> None:
    """Print both tables."""
    table = _table("FAULT", "HAPPENED", "NEXT FILE LOADED AFTER, MEDIAN", "SLOWEST")
    for one in faults:
        happened = str(one.tried) if one.tried == one.faults else f"{one.tried} of {one.faults}"
        table.add_row(one.kind.value, happened, _seconds(one.median), _seconds(one.slowest))
    console.print(table)
    console.print()
    table = _table("CHECK", "EXPECTED", "FOUND", "")
    for check in checks:
        table.add_row(check.name, check.expected, check.found, "[green]ok[/]" if check.ok else "[red]WRONG[/]")
    console.print(table)
    for check in checks:
        if not check.ok:
            console.print(f"\n{check.name}: {check.detail}", markup=False, soft_wrap=True)


def write(
    folder: Path, seed: int, counts: dict[str, object], faults: Sequence[KindSummary], checks: Sequence[FinalCheck]
) -> Path:
    """Write the report as JSON; return its path."""
    path = folder / REPORT
    body = {
        "seed": seed,
        **counts,
        "faults": [asdict(one) for one in faults],
        "checks": [asdict(check) for check in checks],
        "ok": all(check.ok for check in checks),
    }
    path.write_text(json.dumps(body, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), header_style="bold")
    for at, heading in enumerate(headings):
        table.add_column(heading, justify="right" if 0 < at < 3 or len(headings) == 4 == at + 1 else "left")
    return table


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:,.1f} s"
