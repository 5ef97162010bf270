"""`make schedules`: every DAG, what starts it, how its last runs went, and when the next one begins."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from local.runs import seconds_between

if TYPE_CHECKING:
    from local.airflow_api import AirflowApi, Answer

LAST_RUNS = 8
_MOST_NAMES = 3
_SIGNS = {"success": ("ok", "green"), "failed": ("FAILED", "red"), "running": ("running", "cyan")}
_LETTERS = {"success": ("+", "green"), "failed": ("x", "red"), "running": (">", "cyan"), "queued": (".", "dim")}


def table(api: AirflowApi, now: datetime) -> Table:
    """The page. Times are UTC.

    Args:
        api: a session.
        now: what ages and waiting times count from.
    """
    page = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("DAG", "STARTS", "LAST RUN", "AGO", "TOOK", f"LAST {LAST_RUNS}", "NEXT RUN"):
        page.add_column(heading, overflow="fold", justify="right" if heading in {"AGO", "TOOK"} else "left")
    for dag in api.dags():
        runs = api.runs(dag["dag_id"], LAST_RUNS)
        last = next((run for run in runs if run["start_date"]), None)
        state, colour = _SIGNS.get(last["state"], (last["state"], "")) if last else ("never", "dim")
        page.add_row(
            dag["dag_id"],
            trigger(dag, api),
            Text(state, style=colour),
            _ago(last["start_date"], now) if last else "",
            duration(seconds_between(last["start_date"], last["end_date"])) if last else "",
            _history(runs),
            next_run(dag, now),
        )
    return page


def trigger(dag: Answer, api: AirflowApi) -> str:
    """What starts a DAG, in a few words."""
    summary = dag.get("timetable_summary")
    if summary in {None, "None", "null"}:
        return "by hand"
    if summary == "@continuous":
        return "always: waits for files or messages"
    assets = names(api.expression(dag["dag_id"])) if "asset" in str(summary).lower() else []
    if assets:
        also = "" if summary == "Asset" else f", or {every(str(summary).removeprefix('Asset or '))}"
        shown = " | ".join(assets[:_MOST_NAMES])
        more = f" and {len(assets) - _MOST_NAMES} more" if len(assets) > _MOST_NAMES else ""
        return f"news of {shown}{more}{also}"
    return every(str(summary))


def every(summary: str) -> str:
    """`0:00:30`, as Airflow shows a pause, as `every 30 s`; anything else as it is."""
    pause = re.fullmatch(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)", summary)
    if not pause:
        return summary
    days, hours, minutes, seconds = (int(part or 0) for part in pause.groups())
    return f"every {duration(((days * 24 + hours) * 60 + minutes) * 60 + seconds)}"


def names(expression: Any) -> list[str]:
    """The assets' names in an expression, in their order."""
    if isinstance(expression, dict):
        asset = expression.get("asset")
        if isinstance(asset, dict):
            return [str(asset["name"])]
        return [name for part in expression.values() for name in names(part)]
    if isinstance(expression, list):
        return [name for part in expression for name in names(part)]
    return []


def next_run(dag: Answer, now: datetime) -> str:
    """When the next run begins, as far as a clock decides it."""
    if dag["is_paused"]:
        return "paused"
    moment = dag.get("next_dagrun_run_after")
    if not moment or dag.get("timetable_summary") == "@continuous":
        return ""
    left = (datetime.fromisoformat(moment) - now).total_seconds()
    return f"in {duration(left)}" if left > 0 else "now"


def duration(seconds: float | None) -> str:
    """`0.4 s`, `12 s`, `3 min`, `5 h`, `2 d`."""
    if seconds is None:
        return ""
    if seconds < 10 and seconds != int(seconds):
        return f"{seconds:.1f} s"
    for size, unit in ((86400, "d"), (3600, "h"), (120, "min")):
        if seconds >= size:
            return f"{seconds / (60 if unit == 'min' else size):.0f} {unit}"
    return f"{seconds:.0f} s"


def _ago(moment: str, now: datetime) -> str:
    return duration(max(0.0, (now - datetime.fromisoformat(moment).astimezone(UTC)).total_seconds()))


def _history(runs: list[Answer]) -> Text:
    """The last runs, oldest first: + good, x failed, > running, . waiting."""
    text = Text()
    for run in reversed(runs):
        sign, colour = _LETTERS.get(run["state"], ("?", ""))
        text.append(sign, style=colour)
    return text
