"""The DAGs `collect_<source>` of a running platform, and what their runs leave in the ledgers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.running_platform import Running


def pause(running: Running, dag_id: str, *, is_paused: bool) -> None:
    running.airflow(f"dags/{dag_id}", {"is_paused": is_paused}, method="PATCH")


def is_known(running: Running, dag_id: str) -> bool:
    return dag_id in {dag["dag_id"] for dag in running.airflow("dags?limit=100&dag_id_pattern=collect")["dags"]}


def dag_runs(running: Running, dag_id: str) -> list[dict[str, Any]]:
    """The latest runs of a DAG, the newest first."""
    runs: list[dict[str, Any]] = running.airflow(f"dags/{dag_id}/dagRuns?order_by=-run_after&limit=20")["dag_runs"]
    return runs


def unfinished(running: Running, dag_id: str) -> list[str]:
    return [run["dag_run_id"] for run in dag_runs(running, dag_id) if run["state"] in {"queued", "running"}]


def task_states(running: Running, source: str, run_id: str) -> list[tuple[str, str, str | None]]:
    """Task, state and label of each task of a run."""
    found = running.airflow(f"dags/collect_{source}/dagRuns/{run_id}/taskInstances")["task_instances"]
    return sorted((task["task_id"], task["state"], task["rendered_map_index"]) for task in found)


def source_runs(running: Running, source: str) -> list[dict[str, Any]]:
    """The rows of ops.source_run, the oldest first."""
    rows = running.query(
        "SELECT to_jsonb(r) FROM ops.source_run AS r WHERE source = %s ORDER BY source_run_id", [source]
    )
    return [row for (row,) in rows]


def collected(running: Running, source: str) -> list[dict[str, Any]]:
    """Wait until the first scheduled run has read every element, and return its rows of ops.source_run.

    At the half and the full hour another run may start meanwhile.
    """

    def first() -> list[str]:
        runs = dag_runs(running, f"collect_{source}")
        return [run["dag_run_id"] for run in runs if (run["run_type"], run["state"]) == ("scheduled", "success")][-1:]

    [run_id] = running.until(first, f"a scheduled run of collect_{source} has succeeded")
    return [row for row in source_runs(running, source) if row["run_id"] == run_id]


def trigger(running: Running, source: str) -> str:
    """Start a run by hand, and return its id."""
    started: str = running.airflow(f"dags/collect_{source}/dagRuns", {"logical_date": None})["dag_run_id"]
    return started


def succeeded(running: Running, source: str, run_id: str) -> dict[str, Any]:
    """Wait until a run has succeeded, and return the row of ops.source_run of its first attempt.

    There may be another one: on a busy machine the API server answers an attempt too late, and Airflow retries it.
    """
    running.until(
        lambda: (
            {run["dag_run_id"]: run["state"] for run in dag_runs(running, f"collect_{source}")}[run_id] == "success"
        ),
        f"the run {run_id} of collect_{source}",
    )
    return next(row for row in source_runs(running, source) if row["run_id"] == run_id)


def ledger(running: Running, condition: str, value: object) -> list[dict[str, Any]]:
    """The entries of a topic, dataset or file, once all that exist are settled. Before, the table may be missing."""
    query = f"SELECT to_jsonb(l) FROM ops.file_ingestion_log AS l WHERE {condition} ORDER BY file_id"

    def settled() -> list[dict[str, Any]]:
        entries = [entry for (entry,) in running.query(query, [value])]
        return entries if entries and all(entry["settled_at"] for entry in entries) else []

    return list(running.until(settled, f"settled entries of {value}"))
