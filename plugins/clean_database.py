"""Airflow plugin: when `maintain_platform` runs, the scheduler starts a process that cleans Airflow's database.

Tasks cannot reach that database; the scheduler can. The listener does not wait for the process:
`include.orchestration.airflow_database` passes the result to the DAG's task.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

from airflow.listeners import hookimpl
from airflow.plugins_manager import AirflowPlugin

if TYPE_CHECKING:
    from types import ModuleType

    from airflow.models.dagrun import DagRun

DAG_ID = "maintain_platform"

log = logging.getLogger(__name__)


@hookimpl
def on_dag_run_running(dag_run: DagRun, msg: str) -> None:  # noqa: ARG001 - the hook's parameter names are fixed
    """Start the cleaning process; the scheduler calls this when a run begins."""
    if dag_run.dag_id == DAG_ID:
        command = [sys.executable, "-m", "include.orchestration.airflow_database", "--", dag_run.run_id]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - this interpreter
        # Wait for the process, otherwise it stays as a zombie.
        threading.Thread(target=process.wait, daemon=True).start()
        log.info("Process %s cleans Airflow's database.", process.pid)


class CleanDatabasePlugin(AirflowPlugin):
    """Registers the listener."""

    name = "clean_database"
    listeners: list[ModuleType | object] = [sys.modules[__name__]]  # noqa: RUF012 - Airflow's convention
