"""The service that deletes old runs from Airflow's database once a day, on the embedded platform and in containers.

`python -m local.services.airflow_cleanup` cleans, sleeps a day and repeats; with `once` it cleans and ends (the CronJob
in Kubernetes); with `check` it fails if the last clean-up failed (the health check in Compose). It gets the password of
Airflow's database and no other secret. Tasks do not get that password, so no DAG can do this work.

The process that sleeps imports the standard library alone, and keeps the result of the last clean-up in AIRFLOW_HOME.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from include.settings import IngestSettings, RetentionSettings

MODULE = "local.services.airflow_cleanup"
DATABASE = "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"
# Rows that depend on a run are deleted with it. Not `trigger` and `callback`: deleting a trigger would delete its
# deferred task, and Airflow cleans both itself. Not `dag`: it holds whether a DAG is paused.
TABLES = (
    "dag_run", "task_reschedule", "log", "job", "asset_event", "import_error", "dag_version", "revoked_token",
    "celery_taskmeta", "celery_tasksetmeta",
)  # fmt: skip
_BATCH_ROWS = 5_000
_NICE = 5
_DAY_SECONDS, _FIRST_SECONDS = 86_400.0, 600.0  # a start has other work to do
_LOOK_SECONDS = 300.0  # short, for a machine that was suspended
_LIMIT_SECONDS = 6 * 3600
_UNFINISHED = "SELECT min(start_date) FROM dag_run WHERE state IN ('queued', 'running')"


def complaint(home: Path, since: float = 0) -> str | None:
    """Return the failure of the last clean-up, if it ended after `since` (seconds since the epoch), else None."""
    ended, error = _last(home)
    if not error or ended < since:
        return None
    return f"the clean-up at {datetime.fromtimestamp(ended, UTC):%Y-%m-%d %H:%M} UTC failed ({error}); see its log"


def retention_period(retention: RetentionSettings, ingest: IngestSettings) -> timedelta:
    """Return how long runs are kept: at least twice the time that a run may wait for files."""
    return max(timedelta(days=retention.airflow_days), 2 * timedelta(hours=ingest.wait_hours))


def next_start(started: float, ended: float, error: str) -> float:
    """Return when to clean next, in seconds since the epoch like the arguments.

    Args:
        started: when this process started. It never cleans right after its start.
        ended: the end of the last clean-up, 0 if there was none.
        error: its failure. It is repeated after a day, or after a restart.
    """
    is_due_after_start = not ended or (error and ended < started)
    return max(started + _FIRST_SECONDS, 0 if is_due_after_start else ended + _DAY_SECONDS)


def clean() -> None:
    """Replace this process by `airflow db clean`, unless rows are kept for ever.

    Rows since the start of the oldest unfinished run are kept: Airflow would delete the tasks of that run.
    """
    from include.settings import ingest_settings, retention_settings

    retention = retention_settings()
    if not retention.airflow_days:
        _log("RETENTION_AIRFLOW_DAYS is 0: nothing is deleted")
        return
    before = datetime.now(UTC) - retention_period(retention, ingest_settings())
    if (oldest := _oldest_unfinished_run()) and oldest < before:
        _log(f"a run that started at {oldest} has not finished: rows since then are kept until the next clean-up")
        before = oldest
    os.nice(_NICE)
    options = ["--yes", "--skip-archive", "--error-on-cleanup-failure", "--batch-size", str(_BATCH_ROWS)]
    options += ["--clean-before-timestamp", before.isoformat(), "--tables", ",".join(TABLES)]
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "airflow", "db", "clean", *options])  # noqa: S606 - constants


def repeat(home: Path) -> NoReturn:
    """Clean every day, in a child process."""
    started = time.time()
    while True:
        while (seconds := next_start(started, *_last(home)) - time.time()) > 0:
            time.sleep(min(seconds, _LOOK_SECONDS))
        error = _run_once()
        _log(f"not cleaned: {error}; repeated in a day" if error else "cleaned")
        draft = home / "cleanup.json.draft"
        draft.write_text(json.dumps({"ended": time.time(), "error": error}))
        draft.replace(home / "cleanup.json")


def _run_once() -> str:
    """Clean in a child process and return its failure, empty if it succeeded."""
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter
            [sys.executable, "-m", MODULE, "once"], stdin=subprocess.DEVNULL, timeout=_LIMIT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {_LIMIT_SECONDS // 3600} hours"
    return f"exit code {done.returncode}" if done.returncode else ""


def _oldest_unfinished_run() -> datetime | None:
    import psycopg

    # Airflow's address names the driver of SQLAlchemy, which PostgreSQL's own client does not know.
    address = re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", os.environ[DATABASE])
    with psycopg.connect(address, connect_timeout=10) as connection:
        row = connection.execute(_UNFINISHED).fetchone()
    return row[0] if row else None


def _last(home: Path) -> tuple[float, str]:
    """Return when the last clean-up ended, and its failure."""
    try:
        result = json.loads((home / "cleanup.json").read_text())
        return float(result["ended"]), str(result["error"])
    except (OSError, ValueError, KeyError):
        return 0.0, ""


def _log(text: str) -> None:
    print(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC {text}", flush=True)


def main() -> None:
    """Clean once, check the last clean-up, or repeat."""
    home, mode = Path(os.environ["AIRFLOW_HOME"]), sys.argv[1:]
    if mode == ["once"]:
        clean()
    elif mode == ["check"]:
        sys.exit(complaint(home))
    else:
        repeat(home)


if __name__ == "__main__":
    main()
