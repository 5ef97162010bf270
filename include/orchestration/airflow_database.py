"""Delete old runs from Airflow's database with Airflow's `db clean` functions.

Tasks must not have access to that database. The scheduler has: the plugin `clean_database` starts this module as a
separate process next to the scheduler when the DAG `maintain_platform` runs. The process stores the result in an
Airflow variable, which the DAG's task reads. So no task needs the password of the database.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import logging
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from include.settings import ingest_settings, retention_settings

if TYPE_CHECKING:
    from sqlalchemy.orm import Session

    from include.settings import IngestSettings, RetentionSettings

log = logging.getLogger(__name__)

# Name of the Airflow variable; its value is JSON: run_id, deleted (rows by table), error.
RESULT = "maintain_platform_airflow_database"

# Airflow's table names. Rows that depend on a run are deleted with it. Not `trigger` and `callback`: deleting a trigger
# would delete its deferred task, and Airflow cleans both itself. Not `dag`: it holds whether a DAG is paused.
TABLES = ("dag_run", "task_reschedule", "log", "job", "asset_event", "import_error", "dag_version", "revoked_token")
_WITH_CELERY = ("celery_taskmeta", "celery_tasksetmeta")
# Tables whose deleted rows are reported: the well-known ones and those that grow.
COUNTED = ("dag_run", "task_instance", "xcom", "log", "asset_event", "job")
_BATCH_ROWS = 5_000
_NICE = 5


def retention_period(retention: RetentionSettings, ingest: IngestSettings) -> timedelta:
    """Return how long runs are kept: at least twice the time that a run may wait for files."""
    return max(timedelta(days=retention.airflow_days), 2 * timedelta(hours=ingest.wait_hours))


def clean(run_id: str) -> None:
    """Delete rows older than the retention period and store the result in the variable `RESULT`.

    Errors are logged and stored in the result, not raised.

    Args:
        run_id: run of `maintain_platform` that requested the cleaning.
    """
    result: dict[str, Any] = {"run_id": run_id, "deleted": {}, "error": ""}
    try:
        if retention_settings().airflow_days:
            before = datetime.now(UTC) - retention_period(retention_settings(), ingest_settings())
            result["deleted"] = _delete_before(before)
            log.info("Deleted rows older than %s from Airflow's database: %s", before, result["deleted"])
    except Exception as error:
        log.exception("Airflow's database was not cleaned.")
        result["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    # The model of airflow-core, not of the SDK: this process is not a task and connects to the database itself.
    from airflow.models import Variable

    Variable.set(  # noqa: AIR311
        RESULT, result, serialize_json=True, description="Result of the last cleaning by maintain_platform."
    )


def _delete_before(before: datetime) -> dict[str, int]:
    from airflow.sdk import timezone
    from airflow.utils.db_cleanup import config_dict, run_cleanup
    from airflow.utils.session import create_session

    tables = [name for name in (*TABLES, *_WITH_CELERY) if name in config_dict]
    with create_session() as session:
        existing, before = _existing_tables(session), _limit_to_finished_runs(session, before)
        old = _count_old(session, before)
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            run_cleanup(
                clean_before_timestamp=timezone.coerce_datetime(before),
                table_names=[name for name in tables if name in existing],
                confirm=False,
                skip_archive=True,
                session=session,
                batch_size=_BATCH_ROWS,
                error_on_cleanup_failure=True,
            )
        log.debug(output.getvalue())
        remaining = _count_old(session, before)
    return {name: old[name] - remaining[name] for name in old}


def _limit_to_finished_runs(session: Session, before: datetime) -> datetime:
    """Return the start of the oldest unfinished run if that is earlier: Airflow would delete the tasks of that run."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    unfinished = DagRun.state.in_(["queued", "running"])
    oldest: datetime | None = session.scalar(select(func.min(DagRun.start_date)).where(unfinished))
    if oldest is not None and oldest < before:
        log.warning(
            "A run that started at %s has not finished. Rows newer than that are kept until the next cleaning.", oldest
        )
        return oldest
    return before


def _existing_tables(session: Session) -> set[str]:
    from sqlalchemy import inspect

    return set(inspect(session.connection()).get_table_names())


def _count_old(session: Session, before: datetime) -> dict[str, int]:
    """Count the rows older than `before`, by table. Rows added later are newer, so a difference is a deletion."""
    from airflow.utils.db_cleanup import config_dict
    from sqlalchemy import func, select

    counts = {}
    for name in COUNTED:
        config = config_dict[name]
        query = select(func.count()).select_from(config.orm_model).where(config.recency_column < before)
        counts[name] = int(session.scalar(query) or 0)
    return counts


def main() -> None:
    """Run the cleaning process that the plugin starts."""
    parser = argparse.ArgumentParser(description="Clean Airflow's database for a run of maintain_platform.")
    parser.add_argument("run_id")
    os.nice(_NICE)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    clean(parser.parse_args().run_id)


if __name__ == "__main__":
    main()
