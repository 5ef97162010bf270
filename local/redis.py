"""Redis from Debian: the queue between Airflow's scheduler and its Celery workers.

What belongs here: the server. Who puts tasks into it and takes them out is in `local.workers`.

It keeps its queue in memory and nothing on disk. A message that is lost with it is a task that Airflow still calls
queued: the scheduler sends it again after `task_queued_timeout`. Tasks that run already do not notice.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from redis import Redis, RedisError

from local.debian import program
from local.services import Service

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

NAME = "redis"


def url(settings: PlatformSettings, credentials: Credentials) -> str:
    """The address of the queue, with its password."""
    return f"redis://:{credentials.redis_password}@127.0.0.1:{settings.redis_port}/0"


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """The server as a supervised program.

    Raises:
        PlatformError: it is not installed, and cannot be fetched from Debian.
    """
    found = program("redis-server", NAME)

    def probe(_since: float) -> str | None:
        try:
            with Redis.from_url(url(settings, credentials), socket_connect_timeout=2, socket_timeout=2) as client:
                client.ping()
        except RedisError as error:
            return f"it does not answer ({error})"
        return None

    return Service(
        name=NAME,
        command=(str(found.path), str(settings.layout.redis / "redis.conf")),
        environment=found.environment,
        directory=settings.layout.redis,
        probe=probe,
        port=settings.redis_port,
        port_variable="REDIS_PORT",
        address=f"127.0.0.1:{settings.redis_port}",
    )


def prepare(settings: PlatformSettings, credentials: Credentials) -> None:
    """Write the configuration: the password stands in it, and not on a command line that `ps` shows."""
    folder = settings.layout.redis
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / "redis.conf"
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.writelines(f"{name} {value}\n" for name, value in _options(settings, credentials).items())


def _options(settings: PlatformSettings, credentials: Credentials) -> dict[str, str]:
    return {
        "bind": "127.0.0.1",
        "port": str(settings.redis_port),
        "protected-mode": "yes",
        "requirepass": credentials.redis_password,
        "save": '""',
        "appendonly": "no",
        "maxmemory": "256mb",
        "maxmemory-policy": "noeviction",  # a full queue refuses a new task; it must not forget an old one
        "daemonize": "no",
    }
