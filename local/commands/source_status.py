"""The sources in `filegate status`: the last run of each, and when its DAG runs next.

What belongs here: joining definitions, runs and DAGs, and their table. What does not: the definitions and counts
themselves (`include.cli.sources`).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from include.cli.platform_access import use_settings
from include.cli.sources import last_runs, source_notes, source_rows
from include.errors import visible
from include.stores.warehouse import connect, warehouse_errors
from local.commands.schedules import duration, next_run

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from include.settings import WarehouseConfig
    from local.airflow_api import Answer

_COUNTS = ("read", "written", "failed")
_COLOURS = {"success": "green", "failed": "red", "running": "cyan"}
Row = dict[str, Any]


def sources_with_next_run(config: WarehouseConfig | None, dags: Iterable[Answer], now: datetime) -> list[Row]:
    """Return the rows of `filegate sources`, each with `paused`, `next_run_at` and `next_run` in words.

    These three are None for a source whose DAG Airflow does not have, or while Airflow does not answer.

    Args:
        config: of the role `reader`; None if the warehouse does not run. Then no source has a run.
        dags: as Airflow's API has them.
        now: the time that waiting times are relative to.

    Raises:
        PipelineError: the warehouse does not answer or refuses; no definition can be read.
    """
    use_settings()
    by_id = {str(dag["dag_id"]): dag for dag in dags}
    runs = []
    if config:
        with connect(config) as connection, warehouse_errors():
            runs = last_runs(connection)
    rows = source_rows(runs)
    return [row | _next(by_id.get(f"collect_{row['name']}"), now) for row in rows]


def source_table(rows: Sequence[Row], now: datetime, *, plain: bool) -> Table:
    """Return the table of sources, for at most 80 columns.

    Args:
        rows: of `sources_with_next_run`.
        now: the time that ages are relative to.
        plain: without colours.
    """
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="" if plain else "bold")
    for heading in ("SOURCE", "LAST RUN", "STATUS", "READ", "WRITTEN", "FAILED", "NEXT RUN"):
        table.add_column(heading, overflow="fold", justify="right" if heading.lower() in _COUNTS else "left")
    for row in rows:
        status = row["status"] or ("invalid" if row["error"] else "-")
        table.add_row(
            visible(row["name"]),
            _ago(row["last_run"], now),
            Text(status, style="" if plain else _COLOURS.get(status, "")),
            *("-" if row[name] is None else f"{row[name]:,}" for name in _COUNTS),
            row["next_run"] or "-",
        )
    return table


def source_remarks(rows: Iterable[Row]) -> list[str]:
    """Return a line for each source whose last run failed or whose definition is invalid, and the notes on all."""
    rows = list(rows)
    remarks = []
    for row in rows:
        if row["error"]:
            elements = f" in {', '.join(row['failed_elements'])}" if row.get("failed_elements") else ""
            message = " ".join((row.get("error_message") or "").split())
            remarks.append(visible(f"{row['name']}: {row['error']}{elements}: {message}"))
    return remarks + source_notes(rows)


def _next(dag: Mapping[str, Any] | None, now: datetime) -> Row:
    if dag is None:
        return {"paused": None, "next_run_at": None, "next_run": None}
    return {
        "paused": dag["is_paused"],
        "next_run_at": None if dag["is_paused"] else dag.get("next_dagrun_run_after"),
        "next_run": next_run(dict(dag), now) or None,
    }


def _ago(moment: datetime | None, now: datetime) -> str:
    return "never" if moment is None else f"{duration(max(0, int((now - moment.astimezone(UTC)).total_seconds())))} ago"
