"""Trouble outside a file or a message: the bucket, the warehouse, a lock, a disk, a service, the schema registry.

It ends a run and not a file: the task is skipped once its retries are used up, so that it counts neither as a failed
run nor against the file; the file waits, and the sensor lets it be tried once a minute. After minutes it is an alert.
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


def alerting() -> dict[str, float]:
    """When a sensor reports an outage, in the names of a trigger's arguments; none where the settings are wrong."""
    found: dict[str, float] = {}
    with alerts._never_failing():  # noqa: SLF001 - the two modules are one, in two files
        settings = alert_settings()
        again = max(1.0, settings.quiet_minutes)
        found |= {"alert_seconds": 60 * settings.waiting_minutes, "again_seconds": 60 * again}
    return found


@contextmanager
def skipped_for_outside_trouble() -> Iterator[None]:
    """Let Airflow try again while it has tries left; then skip the task, with the reason in its log."""
    try:
        yield
    except RetryableError as error:
        ti: Any = get_current_context()["ti"]
        if ti.try_number <= ti.max_tries:
            raise
        raise AirflowSkipException(f"Nothing is lost, and a later run tries again. {error}") from error


def notify_waiting_files(dataset: str) -> None:
    """Send an alert if files or batches of a dataset have waited too long for something outside of them."""
    with alerts._never_failing() as settings:  # noqa: SLF001 - the two modules are one, in two files
        if settings is None:
            return
        waited = timedelta(minutes=settings.waiting_minutes)
        with alerts._memory() as memory:  # noqa: SLF001
            found = memory.waiting(dataset, waited)
        if found:
            _notify(dataset, {code: count for code, count, _ in found}, min(since for _, _, since in found))


def notify_outage(awaited: str, code: str, began: datetime) -> None:
    """Send an alert about a store or a broker that a sensor has not reached since `began`.

    All sensors that wait for the same one share an alert, as long as the warehouse remembers what was sent.
    """
    with alerts._never_failing() as settings:  # noqa: SLF001
        if settings is not None:
            _notify(code, {code: 1}, began, (("seen by the sensor for", awaited),))


def _notify(about: str, causes: dict[str, int], since: datetime, more: tuple[tuple[str, str], ...] = ()) -> None:
    from include.alerts.message import Alert
    from include.stores.alert_memory import Subject

    minutes = (datetime.now(UTC) - since).total_seconds() / 60
    alert = Alert(
        about=about,
        happened=f"waiting for {', '.join(sorted(causes))} for {minutes:.0f} minutes",
        causes=causes,
        facts=(("since", f"{since:%Y-%m-%d %H:%M:%S} UTC"), *more),
        advice="Files and messages wait and load by themselves once the cause is gone; no run has to be started. The "
        "page of reason codes says what each code means and what to look at.",
        run_url=alerts._own_run_url(),  # noqa: SLF001
    )
    alerts._tell(Subject(WAITING, about), alert, alert_settings())  # noqa: SLF001
