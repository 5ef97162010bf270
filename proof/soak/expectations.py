"""Expected growth and tolerances: which series may grow, by how much, and why.

What belongs here: rules by the name of a series. What does not: arithmetic (`judge`).
"""

from __future__ import annotations

from dataclasses import dataclass

from proof.soak.judge import Expected, Tolerance

_TOLERANCES = {
    "MB PSS": Tolerance(40, 0.15),
    "MB": Tolerance(4, 0.02),
    "connections": Tolerance(4, 0.25),
    "open files": Tolerance(30, 0.15),
    "threads": Tolerance(8, 0.15),
    "processes": Tolerance(6, 0.25),
    "rows": Tolerance(15, 0.02),
}

# Upper limits for one run of a DAG, in rows or KB. An ingest run has five tasks, a dbt run has twenty.
_OF_A_RUN = {
    "task_instance": 8,
    "xcom": 10,
    "log (audit)": 20,
    "asset_event": 2,
    "database airflow": 60,
    "logs of tasks": 80,
    "logs of services": 30,
}
_ROW_KB, _ENTRY_KB, _MESSAGE_KB = 0.8, 8.0, 4.0
_EVENTS_OF_FILE, _RESULTS_OF_FILE, _CHECKS = 8, 12, 250
_SECONDS_OF_A_CHECK = 30


@dataclass(frozen=True)
class Work:
    """The work done within the time that is judged."""

    seconds: float
    runs: float
    files: int
    rows: int
    bad_rows: int
    messages: int
    batches: int
    shared_buffers_mb: float


def tolerance(unit: str) -> Tolerance:
    """Return the tolerance of a series in that unit."""
    return _TOLERANCES[unit]


def expected(name: str, unit: str, work: Work) -> Expected | None:
    """Return how much a series may grow by design, and why; None if it has to be flat."""
    if (each := _OF_A_RUN.get(name)) is not None and unit in {"rows", "MB"}:
        reason = f"{work.runs:,.0f} runs of DAGs, {each} {'rows' if unit == 'rows' else 'KB'} each at most"
        return Expected(work.runs * each / (1024 if unit == "MB" else 1), f"{reason}, until airflow-cleanup")
    entries = work.files + work.batches
    known = {
        ("rows", "dag_run"): Expected(work.runs, "started runs, until airflow-cleanup deletes them"),
        ("rows", "ledger, files"): Expected(work.files, "one entry per dropped file, never deleted", 0.02),
        ("rows", "ledger, batches of messages"): Expected(work.batches, "one entry per batch, never deleted"),
        ("rows", "history of files"): Expected(
            entries * _EVENTS_OF_FILE, f"{entries:,} entries, {_EVENTS_OF_FILE} changes each at most"
        ),
        ("rows", "rejected rows"): Expected(work.bad_rows, "one per bad row that was dropped"),
        ("rows", "results of expectations"): Expected(
            entries * _RESULTS_OF_FILE, f"{entries:,} entries, {_RESULTS_OF_FILE} expectations each at most"
        ),
        ("rows", "results of tables"): Expected(
            max(1, work.seconds / _SECONDS_OF_A_CHECK) * _CHECKS, "each check of the tables, until QUALITY_KEEP_DAYS"
        ),
        ("MB", "database warehouse"): Expected(
            (work.rows * _ROW_KB + entries * _ENTRY_KB) / 1024 + 8, f"{work.rows:,} rows were loaded", 0.5
        ),
        ("MB PSS", "postgres"): Expected(work.shared_buffers_mb, "its cache (shared_buffers) fills once"),
        ("MB PSS", "s3"): Expected(120, "its buffers fill once, up to GOMEMLIMIT"),
        ("MB PSS", "kafka"): Expected(work.messages * _MESSAGE_KB / 1024 + 20, "the broker keeps messages in memory"),
    }
    return known.get((unit, name))
