"""Old runs leave Airflow's own database, by Airflow's own cleaning.

Tasks cannot reach that database, and shall not. The scheduler can: the plugin `clean_database` starts this module as a
process beside it whenever the DAG `maintain_platform` runs, and what was deleted is told by an Airflow variable, which
the DAG's task reads. So no task needs a password for it.
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

# The variable's name; its value is JSON: run_id, deleted (rows by table), error.
RESULT = "maintain_platform_airflow_database"

# By Airflow's names. Not `trigger` and `callback`: a waiting task would go with its trigger, and Airflow cleans both.
# Not `dag`: whether somebody paused it would go with it. What depends on a run goes with it.
TABLES = ("dag_run", "task_reschedule", "log", "job", "asset_event", "import_error", "dag_version", "revoked_token")
_WITH_CELERY = ("celery_taskmeta", "celery_tasksetmeta")
# Those whose numbers are told: what people know, and what grows.
COUNTED = ("dag_run", "task_instance", "xcom", "log", "asset_event", "job")
_BATCH_ROWS = 5_000
_NICE = 5


def kept(retention: RetentionSettings, ingest: IngestSettings) -> timedelta:
    """How long runs are kept: a run that still waits for files must not lose its tasks."""
    return max(timedelta(days=retention.airflow_days), 2 * timedelta(hours=ingest.wait_hours))


def clean(run_id: str) -> None:
    """Delete what is older than the settings say, and tell of it. What goes wrong is told, too, and not raised.

    Args:
        run_id: of the run of `maintain_platform` that asks.
    """
    told: dict[str, Any] = {"run_id": run_id, "deleted": {}, "error": ""}
    try:
        if retention_settings().airflow_days:
            before = datetime.now(UTC) - kept(retention_settings(), ingest_settings())
            told["deleted"] = _delete_before(before)
            log.info("Deleted from Airflow's database what is older than %s: %s", before, told["deleted"])
    except Exception as error:
        log.exception("Airflow's database was not cleaned.")
        told["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"
    # Of the core and not of the SDK: this process talks to the database, as the scheduler does, and is no task.
    from airflow.models import Variable

    Variable.set(  # noqa: AIR311
        RESULT, told, serialize_json=True, description="What maintain_platform deleted last. Written by it."
    )


def _delete_before(before: datetime) -> dict[str, int]:
    from airflow.sdk import timezone
    from airflow.utils.db_cleanup import config_dict, run_cleanup
    from airflow.utils.session import create_session

    tables = [name for name in (*TABLES, *_WITH_CELERY) if name in config_dict]
    with create_session() as session:
        there, before = _existing(session), _no_run_under_way(session, before)
        old = _count_old(session, before)
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            run_cleanup(
                clean_before_timestamp=timezone.coerce_datetime(before),
                table_names=[name for name in tables if name in there],
                confirm=False,
                skip_archive=True,
                session=session,
                batch_size=_BATCH_ROWS,
                error_on_cleanup_failure=True,
            )
        log.debug(said.getvalue())
        left = _count_old(session, before)
    return {name: old[name] - left[name] for name in old}


def _no_run_under_way(session: Session, before: datetime) -> datetime:
    """An earlier time, if a run that began before is not over: Airflow would take the tasks from under it."""
    from airflow.models.dagrun import DagRun
    from sqlalchemy import func, select

    unfinished = DagRun.state.in_(["queued", "running"])
    oldest: datetime | None = session.scalar(select(func.min(DagRun.start_date)).where(unfinished))
    if oldest is not None and oldest < before:
        log.warning("A run that began %s is not over: what is younger than it waits for the next cleaning.", oldest)
        return oldest
    return before


def _existing(session: Session) -> set[str]:
    from sqlalchemy import inspect

    return set(inspect(session.connection()).get_table_names())


def _count_old(session: Session, before: datetime) -> dict[str, int]:
    """Rows older than that: what comes in meanwhile is younger, so that the difference is what was deleted."""
    from airflow.utils.db_cleanup import config_dict
    from sqlalchemy import func, select

    counts = {}
    for name in COUNTED:
        config = config_dict[name]
        query = select(func.count()).select_from(config.orm_model).where(config.recency_column < before)
        counts[name] = int(session.scalar(query) or 0)
    return counts


def main() -> None:
    """The process that the plugin starts."""
    parser = argparse.ArgumentParser(description="Clean Airflow's database for a run of maintain_platform.")
    parser.add_argument("run_id")
    os.nice(_NICE)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    clean(parser.parse_args().run_id)


if __name__ == "__main__":
    main()
