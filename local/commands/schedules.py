"""`filegate schedules`: every DAG, its triggers, the states of its last runs, and the start of its next run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from rich.table import Table
from rich.text import Text

from local.commands.runs import seconds_between

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.airflow_api import AirflowApi, Answer

LAST_RUNS = 8
_MOST_NAMES = 3
_SIGNS = {"success": ("ok", "green"), "failed": ("FAILED", "red"), "running": ("running", "cyan")}
_LETTERS = {"success": ("+", "green"), "failed": ("x", "red"), "running": (">", "cyan"), "queued": (".", "dim")}


@dataclass(frozen=True)
class Schedule:
    """A DAG and its newest runs, the newest first, as Airflow's API has them. `starts` says what starts it."""

    dag: Answer
    starts: str
    runs: list[Answer]

    @property
    def last(self) -> Answer | None:
        """The newest run that has begun."""
        return next((run for run in self.runs if run["start_date"]), None)

    @property
    def as_row(self) -> dict[str, Any]:
        """The values of `--json`. Times are those of Airflow's API, in UTC; `took_seconds` of a run that has ended."""
        last = self.last
        return {
            "dag": self.dag["dag_id"],
            "starts": self.starts,
            "paused": self.dag["is_paused"],
            "last_state": last["state"] if last else None,
            "last_started_at": last["start_date"] if last else None,
            "took_seconds": seconds_between(last["start_date"], last["end_date"]) if last else None,
            "last_states": [run["state"] for run in reversed(self.runs)],
            "next_run_at": self.dag.get("next_dagrun_run_after"),
        }


def schedules(api: AirflowApi) -> list[Schedule]:
    """Read every DAG and its newest runs.

    Args:
        api: a session.
    """
    return [Schedule(dag, trigger(dag, api), api.runs(dag["dag_id"], LAST_RUNS)) for dag in api.dags()]


def table(found: Iterable[Schedule], now: datetime) -> Table:
    """Make the table of DAGs. Times are UTC.

    Args:
        found: the DAGs.
        now: the time that ages and waiting times are relative to.
    """
    page = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in ("DAG", "STARTS", "LAST RUN", "AGO", "TOOK", f"LAST {LAST_RUNS}", "NEXT RUN"):
        page.add_column(heading, overflow="fold", justify="right" if heading in {"AGO", "TOOK"} else "left")
    for one in found:
        dag, last = one.dag, one.last
        state, colour = _SIGNS.get(last["state"], (last["state"], "")) if last else ("never", "dim")
        page.add_row(
            dag["dag_id"],
            one.starts,
            Text(state, style=colour),
            _ago(last["start_date"], now) if last else "",
            duration(seconds_between(last["start_date"], last["end_date"])) if last else "",
            _history(one.runs),
            next_run(dag, now),
        )
    return page


def trigger(dag: Answer, api: AirflowApi) -> str:
    """Describe what starts a DAG."""
    summary = dag.get("timetable_summary")
    if summary in {None, "None", "null"}:
        return "manually"
    if summary == "@continuous":
        return "always: waits for files or messages"
    assets = names(api.expression(dag["dag_id"])) if "asset" in str(summary).lower() else []
    if assets:
        also = "" if summary == "Asset" else f", or {every(str(summary).removeprefix('Asset or '))}"
        shown = " | ".join(assets[:_MOST_NAMES])
        more = f" and {len(assets) - _MOST_NAMES} more" if len(assets) > _MOST_NAMES else ""
        return f"event of {shown}{more}{also}"
    return every(str(summary))


def every(summary: str) -> str:
    """Format Airflow's interval `0:00:30` as `every 30 s`; return any other text unchanged."""
    pause = re.fullmatch(r"(?:(\d+) days?, )?(\d+):(\d\d):(\d\d)", summary)
    if not pause:
        return summary
    days, hours, minutes, seconds = (int(part or 0) for part in pause.groups())
    return f"every {duration(((days * 24 + hours) * 60 + minutes) * 60 + seconds)}"


def names(expression: Any) -> list[str]:
    """Return the names of the assets in an asset expression, in their order."""
    if isinstance(expression, dict):
        asset = expression.get("asset")
        if isinstance(asset, dict):
            return [str(asset["name"])]
        return [name for part in expression.values() for name in names(part)]
    if isinstance(expression, list):
        return [name for part in expression for name in names(part)]
    return []


def next_run(dag: Answer, now: datetime) -> str:
    """Return when the next run starts, if the DAG has a time schedule."""
    if dag["is_paused"]:
        return "paused"
    moment = dag.get("next_dagrun_run_after")
    if not moment or dag.get("timetable_summary") == "@continuous":
        return ""
    left = (datetime.fromisoformat(moment) - now).total_seconds()
    return f"in {duration(left)}" if left > 0 else "now"


def duration(seconds: float | None) -> str:
    """Format seconds as `0.4 s`, `12 s`, `3 min`, `5 h` or `2 d`."""
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
    """Format the last runs, oldest first: + success, x failed, > running, . queued."""
    text = Text()
    for run in reversed(runs):
        sign, colour = _LETTERS.get(run["state"], ("?", ""))
        text.append(sign, style=colour)
    return text
