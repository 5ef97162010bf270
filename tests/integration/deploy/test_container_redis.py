"""The container's command for Redis, run with Debian's redis-server: signals, password, durability."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import redis
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from deploy.compose_file import COMPOSE_FILE, ComposeFile
from deploy.interpolation import interpolate
from local.services.debian import program
from local.settings import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Start = Callable[[], tuple[subprocess.Popen[bytes], redis.Redis]]

pytestmark = pytest.mark.integration

PASSWORD = "of-the-queue"


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts the server with the command of docker-compose.yaml, in this test's folder and on a free port."""
    server = program("redis-server", "redis-server")
    *shell, script = ComposeFile.read(COMPOSE_FILE).services["redis"]["command"]
    [port] = free_ports(1)
    started: list[subprocess.Popen[bytes]] = []
    script = interpolate(script, {}).replace("dir /data", f"dir {tmp_path}\nbind 127.0.0.1\nport {port}")
    environment = {"PATH": f"{server.path.parent}:{os.environ['PATH']}", "REDIS_PASSWORD": PASSWORD}

    def run() -> tuple[subprocess.Popen[bytes], redis.Redis]:
        process = subprocess.Popen([*shell, script], env=environment | server.environment, stdout=subprocess.DEVNULL)
        started.append(process)
        client = redis.Redis(port=port, password=PASSWORD, socket_timeout=10, decode_responses=True)
        retry(retry=retry_if_exception_type(redis.ConnectionError), stop=stop_after_delay(60), wait=wait_fixed(0.1))(
            client.ping
        )()
        return process, client

    yield run
    for process in started:
        process.kill()
        process.wait()


def test_redis_wants_the_password_and_hides_it(start: Start) -> None:
    process, client = start()
    # The shell is replaced by the server, which therefore gets the container's stop signal.
    assert Path(f"/proc/{process.pid}/comm").read_text().startswith("redis-server")
    assert PASSWORD not in Path(f"/proc/{process.pid}/cmdline").read_text()
    assert client.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
    stranger = redis.Redis(port=client.connection_pool.connection_kwargs["port"], socket_timeout=10)
    with pytest.raises(redis.AuthenticationError):
        stranger.ping()


def test_queued_messages_survive_a_stop(start: Start) -> None:
    process, client = start()
    client.rpush("queue", "task")
    process.terminate()
    assert process.wait(60) == 0
    _, client = start()
    assert client.llen("queue") == 1
