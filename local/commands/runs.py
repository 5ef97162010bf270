"""Triggers a DAG, waits for the end of its run, and prints the result of each task."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from local.errors import PlatformError

if TYPE_CHECKING:
    from rich.console import Console

    from local.airflow_api import AirflowApi, Answer

_PATIENCE = 1800
_MOST_REASONS = 3
_COLOURS = {"success": "green", "failed": "red", "upstream_failed": "red", "skipped": "yellow"}


def follow(api: AirflowApi, dag_id: str, console: Console, conf: dict[str, Any] | None = None) -> bool:
    """Trigger a DAG, wait for the end of its run, and print its tasks.

    Returns:
        Whether the run succeeded.

    Raises:
        PlatformError: the DAG is unknown or paused, or the run did not end in half an hour.
    """
    if next((dag["is_paused"] for dag in api.dags() if dag["dag_id"] == dag_id), False):
        raise PlatformError(f"{dag_id} is paused", "unpause it in Airflow")
    run_id = api.trigger(dag_id, conf)
    begun = time.monotonic()
    with console.status(dag_id) as spinner:
        while (run := api.run(dag_id, run_id))["state"] in {"queued", "running"}:
            if time.monotonic() - begun > _PATIENCE:
                raise PlatformError(f"{dag_id} did not end within {_PATIENCE} s", "look at its run in Airflow")
            tasks = api.tasks(dag_id, run_id)
            busy = ", ".join(sorted({task["task_display_name"] for task in tasks if task["state"] == "running"}))
            spinner.update(f"{dag_id}: {run['state']}" + (f", {busy}" if busy else ""))
            time.sleep(0.5)
    tasks = api.tasks(dag_id, run_id)
    console.print(_table(api, dag_id, run_id, tasks))
    for task in tasks:
        if task["state"] in {"failed", "skipped"}:
            for line in api.reasons(dag_id, run_id, task)[-_MOST_REASONS:]:
                console.print(f"{task['task_id']}: {line}", markup=False, style=_COLOURS[task["state"]])
    console.print(f"{dag_id}: {run['state']} after {time.monotonic() - begun:.0f} s (run {run_id})")
    return bool(run["state"] == "success")


def _table(api: AirflowApi, dag_id: str, run_id: str, tasks: list[Answer]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("TASK", "STATE", "SECONDS", "RETURNED"):
        table.add_column(heading, justify="right" if heading == "SECONDS" else "left", overflow="fold")
    for task in tasks:
        state = task["state"] or "none"
        label = task.get("rendered_map_index") or (task["map_index"] if task["map_index"] >= 0 else "")
        value = api.return_value(dag_id, run_id, task["task_id"], task["map_index"]) if state == "success" else None
        table.add_row(
            Text(f"{task['task_id']} {label}".strip()),
            Text(state, style=_COLOURS.get(state, "")),
            f"{task['duration']:.1f}" if task["duration"] else "",
            Text(shown(value)),
        )
    return table


def shown(value: Any) -> str:
    """Format a task's return value for display: `rows 10, files 2`."""
    if value is None:
        return ""
    if isinstance(value, dict):
        return ", ".join(f"{name} {shown(part)}" for name, part in value.items() if part not in (None, "", [], {}))
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value)


def seconds_between(begin: str | None, end: str | None) -> float | None:
    """Return the seconds between two timestamps of Airflow's API."""
    return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() if begin and end else None
