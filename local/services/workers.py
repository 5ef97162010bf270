"""The Celery workers of Airflow, and the configuration of its executor.

What belongs here: the services and options for AIRFLOW_EXECUTOR=celery. The queue is in `local.services.redis`.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from local.services import redis
from local.services.service import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.credentials import Credentials
    from local.settings import PlatformSettings

_CLASSES = {
    "local": "LocalExecutor",
    "celery": "airflow.providers.celery.executors.celery_executor.CeleryExecutor",
}

# After this time Celery redelivers the message of a dead worker. Airflow has requeued the task long before
# (task_instance_heartbeat_timeout), so this only has to be longer than any task: Airflow refuses a message that is
# redelivered while its task runs, and a worker is woken up unnecessarily.
_VISIBILITY_SECONDS = 86_400

_QUEUED_SECONDS = 600  # Airflow's default
_MISSING_MESSAGE_SECONDS = 120


def executor(settings: PlatformSettings) -> str:
    """Return Airflow's name of the chosen executor."""
    return _CLASSES[settings.airflow_executor]


def names(settings: PlatformSettings) -> tuple[str, ...]:
    """Return the names of the worker services; empty with the LocalExecutor."""
    if settings.airflow_executor != "celery":
        return ()
    return tuple(f"airflow-worker-{number}" for number in range(1, settings.celery_workers + 1))


def sections(settings: PlatformSettings, credentials: Credentials, database: str) -> dict[str, dict[str, str]]:
    """Return Airflow's options for the executor and the workers, by section.

    Args:
        settings: of the platform.
        credentials: with the queue's password.
        database: the SQLAlchemy URL of the metadata database, which also stores Celery's results.
    """
    if settings.airflow_executor != "celery":
        return {}
    return {
        "celery": {
            "broker_url": redis.url(settings, credentials),
            "result_backend": f"db+{database}",
            "worker_concurrency": str(settings.celery_concurrency),
            "worker_prefetch_multiplier": "1",  # tasks wait in the queue, not at a busy worker
            "task_acks_late": "True",
        },
        "celery_broker_transport_options": {"visibility_timeout": str(_VISIBILITY_SECONDS)},
        "scheduler": {
            "task_queued_timeout": str(_queued_seconds(settings)),
            "task_queued_timeout_check_interval": "30",
        },
    }


def services(settings: PlatformSettings, credentials: Credentials, environment: Mapping[str, str]) -> list[Service]:
    """Declare each worker as a supervised program."""
    return [_service(name, settings, credentials, environment) for name in names(settings)]


def _queued_seconds(settings: PlatformSettings) -> int:
    """Return the seconds after which the scheduler sends a queued task again.

    If the workers have a slot for every parallel task, no task waits, and one that is still queued after two minutes
    has lost its message. With fewer slots tasks do wait, and Airflow's default applies.
    """
    slots = settings.celery_workers * settings.celery_concurrency
    return _MISSING_MESSAGE_SECONDS if slots >= settings.airflow_parallelism else _QUEUED_SECONDS


def _service(
    name: str, settings: PlatformSettings, credentials: Credentials, environment: Mapping[str, str]
) -> Service:
    def probe(_since: float) -> str | None:
        return _complaint(redis.url(settings, credentials), f"celery@{name}")

    return Service(
        name=name,
        command=(sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs", "--celery-hostname", name),
        # A stopped worker ends its tasks, like the scheduler with a LocalExecutor: they are retried.
        environment={**environment, "REMAP_SIGTERM": "SIGQUIT"},
        directory=settings.layout.airflow,
        probe=probe,
        stop_seconds=15,
    )


def _complaint(queue: str, node: str) -> str | None:
    """Return None if the worker answers, else the reason. Importing Airflow is avoided: it takes seconds."""
    from celery import Celery  # type: ignore[import-untyped]
    from kombu.exceptions import OperationalError

    options = {"socket_connect_timeout": 2, "socket_timeout": 5, "max_retries": 1}
    with closing(Celery(broker=queue, broker_transport_options=options, set_as_current=False)) as app:
        try:
            answer = app.control.inspect(destination=[node], timeout=2).ping()
        except (OSError, OperationalError) as error:
            return f"the queue does not answer ({error})"
    return None if answer and node in answer else "it does not answer"
