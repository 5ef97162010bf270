"""Redis from Debian: the queue between Airflow's scheduler and its Celery workers.

What belongs here: the server. The workers are in `local.services.workers`.

The queue is kept in memory only. If Redis dies, the tasks of its messages are still queued in Airflow's database: the
scheduler sends them again after `task_queued_timeout`. Running tasks are not affected.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from redis import Redis, RedisError

from local.services.debian import program
from local.services.service import Service

if TYPE_CHECKING:
    from local.credentials import Credentials
    from local.settings import PlatformSettings

NAME = "redis"


def url(settings: PlatformSettings, credentials: Credentials) -> str:
    """Return the address of the queue, with its password."""
    return f"redis://:{credentials.redis_password}@127.0.0.1:{settings.redis_port}/0"


def service(settings: PlatformSettings, credentials: Credentials) -> Service:
    """Declare the server as a supervised program.

    Raises:
        PlatformError: Redis is not installed, and its Debian package cannot be downloaded.
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
    """Write the configuration. It contains the password, since `ps` shows command lines."""
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
        "maxmemory-policy": "noeviction",  # a full queue refuses new tasks; it must not drop old ones
        "daemonize": "no",
    }
