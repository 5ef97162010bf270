"""The Celery workers of Airflow, and how its executor finds them.

What belongs here: what changes when AIRFLOW_EXECUTOR is `celery`. The queue itself is in `local.redis`.
"""

from __future__ import annotations

import sys
from contextlib import closing
from typing import TYPE_CHECKING

from local import redis
from local.services import Service

if TYPE_CHECKING:
    from collections.abc import Mapping

    from local.credentials import Credentials
    from local.settings import PlatformSettings

_CLASSES = {
    "local": "LocalExecutor",
    "celery": "airflow.providers.celery.executors.celery_executor.CeleryExecutor",
}

# Celery gives a message whose worker has died to another one after this. Airflow has sent the task anew long before
# (task_instance_heartbeat_timeout), so this only has to be longer than any task: a message that comes twice while its
# task still runs is refused by Airflow, and wakes a worker for nothing.
_VISIBILITY_SECONDS = 86_400

_QUEUED_SECONDS = 600  # as Airflow has it
_LOST_SECONDS = 120


def executor(settings: PlatformSettings) -> str:
    """What Airflow calls the chosen executor."""
    return _CLASSES[settings.airflow_executor]


def names(settings: PlatformSettings) -> tuple[str, ...]:
    """The worker services; none when Airflow's scheduler runs the tasks itself."""
    if settings.airflow_executor != "celery":
        return ()
    return tuple(f"airflow-worker-{number}" for number in range(1, settings.celery_workers + 1))


def sections(settings: PlatformSettings, credentials: Credentials, database: str) -> dict[str, dict[str, str]]:
    """Airflow's options for the executor and the workers, by section.

    Args:
        settings: of the platform.
        credentials: with the queue's password.
        database: SQLAlchemy's address of the metadata database, where Celery keeps results as well.
    """
    if settings.airflow_executor != "celery":
        return {}
    return {
        "celery": {
            "broker_url": redis.url(settings, credentials),
            "result_backend": f"db+{database}",
            "worker_concurrency": str(settings.celery_concurrency),
            "worker_prefetch_multiplier": "1",  # a task waits in the queue for a free place, not at a busy worker
            "task_acks_late": "True",
        },
        "celery_broker_transport_options": {"visibility_timeout": str(_VISIBILITY_SECONDS)},
        "scheduler": {
            "task_queued_timeout": str(_queued_seconds(settings)),
            "task_queued_timeout_check_interval": "30",
        },
    }


def services(settings: PlatformSettings, credentials: Credentials, environment: Mapping[str, str]) -> list[Service]:
    """Each worker as a supervised program, in a process group of its own."""
    return [_service(name, settings, credentials, environment) for name in names(settings)]


def _queued_seconds(settings: PlatformSettings) -> int:
    """With a place for every task nothing waits, and what is still queued after two minutes is lost with its message.

    With fewer places a task may well wait: then Airflow's own patience.
    """
    places = settings.celery_workers * settings.celery_concurrency
    return _LOST_SECONDS if places >= settings.airflow_parallelism else _QUEUED_SECONDS


def _service(
    name: str, settings: PlatformSettings, credentials: Credentials, environment: Mapping[str, str]
) -> Service:
    def probe(_since: float) -> str | None:
        return _complaint(redis.url(settings, credentials), f"celery@{name}")

    return Service(
        name=name,
        command=(sys.executable, "-m", "airflow", "celery", "worker", "--skip-serve-logs", "--celery-hostname", name),
        # At a stop the worker gives its tasks up, as the scheduler with a LocalExecutor does: they are tried again.
        environment={**environment, "REMAP_SIGTERM": "SIGQUIT"},
        directory=settings.layout.airflow,
        probe=probe,
        stop_seconds=15,
    )


def _complaint(queue: str, node: str) -> str | None:
    """None when the worker itself answers. Asked without Airflow, whose import takes seconds."""
    from celery import Celery  # type: ignore[import-untyped]
    from kombu.exceptions import OperationalError

    options = {"socket_connect_timeout": 2, "socket_timeout": 5, "max_retries": 1}
    with closing(Celery(broker=queue, broker_transport_options=options, set_as_current=False)) as app:
        try:
            answer = app.control.inspect(destination=[node], timeout=2).ping()
        except (OSError, OperationalError) as error:
            return f"the queue does not answer ({error})"
    return None if answer and node in answer else "it does not answer"
