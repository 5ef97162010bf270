"""What all DAGs have in common: retries from the settings, and how our errors become Airflow's."""

from __future__ import annotations

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


@contextmanager
def no_retry_of_permanent_errors() -> Iterator[None]:
    """A contract, a setting, a permission: fail at once, with the sentence that says which."""
    try:
        yield
    except PermanentError as error:
        raise AirflowFailException(str(error)) from error
