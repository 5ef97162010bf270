"""Runs Airflow once in one process: its scheduler on an empty database, and the metrics of its other services.

The environment sets the receiver of the metrics. It is a separate program, because Airflow can be set up only once per
process.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from airflow import settings
from airflow.dag_processing.manager import DagFileStat, emit_metrics
from airflow.jobs.dag_processor_job_runner import DagProcessorJobRunner
from airflow.jobs.job import Job, run_job
from airflow.jobs.scheduler_job_runner import SchedulerJobRunner
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor
from airflow.utils.db import initdb


def main() -> None:
    settings.initialize()
    initdb()
    job = Job()
    scheduler = SchedulerJobRunner(job, num_runs=1, scheduler_idle_sleep_time=0)
    run_job(job=job, execute_callable=scheduler._execute)
    # Metrics that need hours or other processes are sent by calling the functions that emit them.
    scheduler.heartbeat_callback()
    scheduler._emit_pool_metrics()
    service: Any = SimpleNamespace(team_name=None, job=job, capacity=10, running_triggers=set())
    service.metric_tags = lambda: TriggerRunnerSupervisor.metric_tags(service)
    DagProcessorJobRunner.heartbeat_callback(service)
    TriggerRunnerSupervisor.heartbeat_callback(service)
    TriggerRunnerSupervisor.emit_metrics(service)
    emit_metrics(parse_time=1.5, dag_file_stats=[DagFileStat(num_dags=3, import_errors=1)])


if __name__ == "__main__":
    main()
