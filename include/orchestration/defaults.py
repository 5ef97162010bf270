"""What all DAGs have in common: retries from the settings, and how our errors become Airflow's."""

from __future__ import annotations

import os
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk.exceptions import AirflowFailException

from include.errors import PermanentError
from include.settings import ingest_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

# Any day in the past: a continuous DAG without one gives every run the same logical date and gets stuck.
START = datetime(2026, 1, 1, tzinfo=UTC)

# Beside a process of the usual niceness this one gets a quarter of a processor: little enough, and not nothing.
_NICE = 5


def default_args() -> dict[str, Any]:
    """Retries of every task."""
    settings = ingest_settings()
    return {
        "owner": "platform",
        "retries": settings.retries,
        "retry_delay": timedelta(seconds=settings.retry_delay_seconds),
        "retry_exponential_backoff": settings.retry_backoff,
        "max_retry_delay": timedelta(seconds=settings.retry_max_delay_seconds),
    }


def background_args() -> dict[str, Any]:
    """The same, for what may wait while files and messages come in: dbt, checks, training."""
    # The usual weight counts the tasks behind one, and dbt has the most.
    return default_args() | {"weight_rule": "absolute", "pre_execute": give_way}


def give_way(_context: Any) -> None:
    """Take a smaller share of the processors from here on."""
    os.nice(_NICE)


@contextmanager
def no_retry_of_permanent_errors() -> Iterator[None]:
    """A contract, a setting, a permission: fail at once, with the sentence that says which."""
    try:
        yield
    except PermanentError as error:
        raise AirflowFailException(str(error)) from error
