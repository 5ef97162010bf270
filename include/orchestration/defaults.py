"""Defaults of all DAGs: retries from the settings, and the translation of pipeline errors to Airflow exceptions.

An outage of what files and messages depend on (bucket, warehouse, a lock, disk, a service, the schema registry) is no
fault of the file: the task is skipped after its last retry, so that it counts neither as a failed run nor against the
file. The file waits, and a run tries it once a minute. After some minutes an alert is sent.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from include.errors import Code, PermanentError, RetryableError
from include.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Any date in the past: without a start date every run of a continuous DAG gets the same logical date, and it stops.
START = datetime(2026, 1, 1, tzinfo=UTC)

# Each pause before a retry is longer by this factor, up to the longest one.
RETRY_BACKOFF = 2.0
LONGEST_RETRY_DELAY = timedelta(minutes=5)

# A process of niceness 5 gets a quarter of a CPU that it shares with a process of niceness 0.
_NICE = 5


def default_args(owner: str = "platform") -> dict[str, Any]:
    """Return the default arguments of every task: owner and retries."""
    settings = ingest_settings()
    return {
        "owner": owner,
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.retry_delay_seconds),
        "retry_exponential_backoff": RETRY_BACKOFF,
        "max_retry_delay": LONGEST_RETRY_DELAY,
    }


def background_args() -> dict[str, Any]:
    """Return `default_args` with lower priority, for dbt, checks and training: ingestion goes first."""
    # Airflow's default weight counts downstream tasks, which would give dbt the highest priority.
    return default_args() | {"weight_rule": "absolute", "pre_execute": lower_priority}


def lower_priority(_context: Any) -> None:
    """Lower the CPU priority of this process."""
    os.nice(_NICE)


@contextmanager
def no_retry_of_permanent_errors() -> Iterator[None]:
    """Fail the task without retries on a PermanentError, for example of a contract, a setting or a permission."""
    try:
        yield
    except PermanentError as error:
        raise AirflowFailException(str(error)) from error


@contextmanager
def skip_on_outage() -> Iterator[None]:
    """Re-raise a RetryableError while Airflow has retries left; after the last one skip the task with the reason."""
    try:
        yield
    except RetryableError as error:
        ti: Any = get_current_context()["ti"]
        if ti.try_number <= ti.max_tries:
            raise
        raise AirflowSkipException(f"The files or messages wait, and a later run tries again. {error}") from error


@contextmanager
def no_retry_within_the_limit() -> Iterator[None]:
    """Skip the task when a source's rate limit is used up: a retry within seconds would be refused.

    The next run continues. A limit of more than a day fails the task instead, so that the failure is notified.
    """
    try:
        yield
    except RetryableError as error:
        if error.code is not Code.RATE_LIMITED:
            raise
        kind = AirflowFailException if error.details.get("is_long") else AirflowSkipException
        raise kind(error.message) from error
