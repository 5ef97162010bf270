"""Outages of what files and messages depend on: bucket, warehouse, a lock, disk, a service, the schema registry.

An outage is no fault of the file: the task is skipped after its last retry, so that it counts neither as a failed run
nor against the file. The file waits, and a run tries it once a minute. After some minutes an alert is sent.
"""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from airflow.sdk.exceptions import AirflowSkipException

from include.errors import RetryableError
from include.orchestration import alerts
from include.settings import alert_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

WAITING = "waiting"


def alert_times() -> dict[str, float]:
    """Return `alert_seconds` and `again_seconds` for a `PollingTrigger`; an empty dict if the settings are wrong."""
    times: dict[str, float] = {}
    with alerts._never_failing():  # noqa: SLF001 - both modules implement alerts
        settings = alert_settings()
        again = max(1.0, settings.quiet_minutes)
        times |= {"alert_seconds": 60 * settings.waiting_minutes, "again_seconds": 60 * again}
    return times


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


def notify_waiting_files(dataset: str) -> None:
    """Send an alert if files or batches of a dataset have waited too long for the end of an outage."""
    with alerts._never_failing() as settings:  # noqa: SLF001 - both modules implement alerts
        if settings is None:
            return
        waited = timedelta(minutes=settings.waiting_minutes)
        with alerts._memory() as memory:  # noqa: SLF001
            found = memory.waiting(dataset, waited)
        if found:
            _notify_waiting(dataset, {code: count for code, count, _ in found}, min(since for _, _, since in found))


def notify_outage(awaited: str, code: str, began: datetime) -> None:
    """Send an alert about a store or broker that has not responded to a sensor since `began`.

    All sensors that wait for the same store or broker share one alert, as long as the warehouse is available.
    """
    with alerts._never_failing() as settings:  # noqa: SLF001
        if settings is not None:
            _notify_waiting(code, {code: 1}, began, (("seen by the sensor for", awaited),))


def _notify_waiting(
    about: str, causes: dict[str, int], since: datetime, details: tuple[tuple[str, str], ...] = ()
) -> None:
    from include.alerts.message import Alert
    from include.stores.alert_memory import Subject

    minutes = (datetime.now(UTC) - since).total_seconds() / 60
    alert = Alert(
        about=about,
        happened=f"waiting for {', '.join(sorted(causes))} for {minutes:.0f} minutes",
        causes=causes,
        details=(("since", f"{since:%Y-%m-%d %H:%M:%S} UTC"), *details),
        advice="Files and messages wait and are loaded automatically once the cause is gone; no run has to be started. "
        "The page of reason codes says what each code means and what to look at.",
        run_url=alerts._own_run_url(),  # noqa: SLF001
    )
    alerts._send_if_new(Subject(WAITING, about), alert, alert_settings())  # noqa: SLF001
