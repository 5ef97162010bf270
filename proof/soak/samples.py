"""Samples that are taken every few seconds: processes, connections, rows, sizes.

What belongs here: measuring. What does not: judging (`judge`), and expected growth (`expectations`).
Memory is PSS: a page that several processes share is counted once in their sum.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from local.services import postgres
from local.services.airflow import SCHEDULER
from local.supervisor import processes
from proof.soak.judge import Series
from proof.soak.load import BUCKET

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform
    from local.supervisor.supervision import ProgramState

_MB = 1024**2
_TASKS = "tasks"
_WAITING = f"SELECT coalesce(sum(files), 0) FROM ops.incoming_files WHERE bucket = '{BUCKET}'"
# By unit and name. Each is one number.
_WAREHOUSE = {
    "ledger, files": "SELECT count(*) FROM ops.file_ingestion_log WHERE topic IS NULL",
    "ledger, batches of messages": "SELECT count(*) FROM ops.file_ingestion_log WHERE topic IS NOT NULL",
    "history of files": "SELECT count(*) FROM ops.file_event",
    "rejected rows": "SELECT count(*) FROM ops.rejected_rows",
    "results of expectations": "SELECT count(*) FROM ops.quality_result WHERE file_id IS NOT NULL",
    "results of tables": "SELECT count(*) FROM ops.quality_result WHERE file_id IS NULL",
    "staging tables": "SELECT count(*) FROM pg_tables WHERE schemaname = 'load'",
    "files not settled": "SELECT count(*) FROM ops.file_ingestion_log WHERE settled_at IS NULL",
}
_AIRFLOW = {
    "dag_run": "SELECT count(*) FROM dag_run",
    "task_instance": "SELECT count(*) FROM task_instance",
    "xcom": "SELECT count(*) FROM xcom",
    "log (audit)": "SELECT count(*) FROM log",
    "asset_event": "SELECT count(*) FROM asset_event",
    "trigger": "SELECT count(*) FROM trigger",
    "dag_version": "SELECT count(*) FROM dag_version",
}
_STARTED = "SELECT coalesce(pg_sequence_last_value('dag_run_id_seq'), 0)"
_SHARED_BUFFERS = "SELECT setting::bigint * 8192 FROM pg_settings WHERE name = 'shared_buffers'"
_CONNECTIONS = """
SELECT usename || ' in ' || datname, count(*) FROM pg_stat_activity
WHERE backend_type = 'client backend' AND application_name <> 'platform' AND usename IS NOT NULL GROUP BY 1
"""
_SIZES = "SELECT datname, pg_database_size(oid) FROM pg_database WHERE datname IN ('airflow', 'warehouse')"


class Sampler:
    """Takes samples of one running platform. Use as a context manager: it holds two connections."""

    def __init__(self, platform: Platform) -> None:
        self._platform, self._layout = platform, platform.settings.layout
        self._series: dict[str, Series] = {}
        self._begun, self._times = time.time(), list[float]()
        self._of_a_task: dict[tuple[str, str], float] = {}
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Sampler:
        settings, credentials = self._platform.settings, self._platform.credentials
        self._warehouse, self._airflow = (
            self._stack.enter_context(postgres.superuser_connection(settings, credentials, database))
            for database in ("warehouse", "airflow")
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def begun(self) -> float:
        """When sampling began, in seconds since the epoch."""
        return self._begun

    @property
    def series(self) -> dict[str, Series]:
        """The sampled series, by name and unit."""
        return self._series

    def shared_buffers(self) -> float:
        """Return the size of PostgreSQL's cache in MB: its processes use that much memory once the cache is full."""
        return self._one(self._warehouse, _SHARED_BUFFERS) / _MB

    def take(self) -> None:
        """Take one sample of everything."""
        at = time.time() - self._begun
        seen = dict(self._of_processes())
        for connection, queries in ((self._warehouse, _WAREHOUSE), (self._airflow, _AIRFLOW)):
            for name, query in queries.items():
                seen["rows", name] = self._one(connection, query)
        seen["runs", "started"] = self._one(self._airflow, _STARTED)
        seen["rows", "backlog in incoming/"] = self._one(self._warehouse, _WAITING)
        for name, count in self._pairs(_CONNECTIONS):
            seen["connections", name] = count
        for name, size in self._pairs(_SIZES):
            seen["MB", f"database {name}"] = size / _MB
        seen["MB", "logs of services"] = size_of(self._layout.logs)
        seen["MB", "logs of tasks"] = size_of(self._layout.airflow / "logs")
        seen["MB", "spool"] = size_of(self._layout.spool)
        for (unit, name), value in seen.items():
            key = f"{name} [{unit}]"
            if key not in self._series:
                # A series that appears later was 0 before.
                self._series[key] = Series(name, unit, self._times[:], [0.0] * len(self._times))
            self._series[key].add(at, float(value))
        for series in self._series.values():
            if series.seconds[-1] != at:
                series.add(at, 0.0)
        self._times.append(at)

    def _of_processes(self) -> Iterator[tuple[tuple[str, str], float]]:
        """Yield memory, open files, threads and number of processes by service."""
        seen: dict[tuple[str, str], float] = defaultdict(float)
        programs = {state.pid: name for name, state in self._states().items() if state.pid}
        for process in processes.find(self._layout, self._platform._session()):  # noqa: SLF001 - as the tests do
            try:
                service = service_of(process, programs)
                seen["MB PSS", service] += memory_of(process.pid)
                seen["open files", service] += process.num_fds()
                seen["threads", service] += process.num_threads()
                seen["processes", service] += 1
            except (psutil.Error, OSError):
                continue  # the process has ended
        if tasks := seen.pop(("processes", _TASKS), 0.0):
            self._of_a_task = {
                (unit, "a task"): seen.pop((unit, _TASKS), 0.0) / tasks for unit in ("MB PSS", "open files", "threads")
            }
        # The number of running tasks depends on the load and is no growth: their values are averages of one task.
        yield from (seen | self._of_a_task).items()

    def _states(self) -> dict[str, ProgramState]:
        return self._platform._supervisor.states()  # noqa: SLF001 - status() would also call every service

    def _pairs(self, query: str) -> list[tuple[str, float]]:
        rows: list[tuple[Any, ...]] = self._warehouse.execute(query.encode()).fetchall()
        return [(str(name), float(count)) for name, count in rows]

    @staticmethod
    def _one(connection: Any, query: str) -> float:
        row = connection.execute(query.encode()).fetchone()
        return float(row[0]) if row else 0.0


def service_of(process: psutil.Process, programs: dict[int, str]) -> str:
    """Return the program that a process descends from; tasks and the executor count apart from their scheduler."""
    line = [process, *process.parents()]
    owner = next((programs[one.pid] for one in line if one.pid in programs), "supervisor")
    if owner == SCHEDULER and process.pid not in programs:
        title = " ".join(process.cmdline())
        return "executor" if "LocalExecutor" in title else _TASKS
    return owner


def memory_of(pid: int) -> float:
    """Return the memory of a process (PSS) in MB."""
    with Path(f"/proc/{pid}/smaps_rollup").open() as file:
        for line in file:
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def size_of(folder: Path) -> float:
    """Return the size of all files of a folder in MB."""
    total = 0
    for directory, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(directory) / name).lstat().st_size
    return total / _MB
