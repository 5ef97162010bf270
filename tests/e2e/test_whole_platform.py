"""The whole platform with real Airflow: who may enter, what is reachable, and that nothing survives its end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from local import processes
from local.addresses import for_library
from local.platform import Platform
from local.seaweedfs import internal_ports
from local.settings import PORTS, temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def whole() -> Iterator[Platform]:
    """Everything, in a folder and on ports of its own."""
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    platform = Platform(temporary_settings(home))
    try:
        platform.up()
        yield platform
    finally:
        platform.down()
        shutil.rmtree(home)


def ask(address: str, *, token: str = "", body: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(address, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}


def log_in(platform: Platform, password: str) -> tuple[int, dict[str, object]]:
    told = for_library(platform)
    return ask(f"{told['AIRFLOW_URL']}/auth/token", body={"username": told["AIRFLOW_USER"], "password": password})


def ports(platform: Platform) -> set[int]:
    """Of what runs: the workers' queue does not, where the scheduler runs the tasks."""
    named = {getattr(platform.settings, name) for name in PORTS if name != "redis_port"}
    return named | set(internal_ports(platform.settings))


def test_every_service_is_healthy(whole: Platform) -> None:
    assert {service.name: service.complaint for service in whole.status()} == dict.fromkeys(
        [
            "postgres",
            "s3",
            "kafka",
            "ml-api",
            "github-replay",
            "mlflow",
            "airflow-api-server",
            "airflow-scheduler",
            "airflow-dag-processor",
            "airflow-triggerer",
        ],
        "",
    )


def test_airflow_opens_with_the_password_of_make_env_alone(whole: Platform) -> None:
    status, answer = log_in(whole, for_library(whole)["AIRFLOW_PASSWORD"])
    assert status == 201
    dags = f"{for_library(whole)['AIRFLOW_URL']}/api/v2/dags"
    assert ask(dags, token=str(answer["access_token"]))[0] == 200
    assert log_in(whole, "admin")[0] == 401
    assert ask(dags)[0] == 401


def test_everything_listens_on_the_loopback_interface_alone(whole: Platform) -> None:
    found = set()
    for process in processes.find(whole.settings.layout, whole._session()):
        with suppress(psutil.Error, FileNotFoundError):  # a task that has ended meanwhile
            listening = (one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)
            found.update(tuple(one.laddr) for one in listening)
    assert found == {("127.0.0.1", port) for port in ports(whole)}


def test_a_second_up_starts_nothing(whole: Platform) -> None:
    assert not whole.up()


def test_down_after_the_supervisor_was_killed_leaves_nothing_and_up_works_again(whole: Platform) -> None:
    supervisor = psutil.Process(int((whole.settings.layout.run / "supervisord.pid").read_text()))
    every = [supervisor, *supervisor.children(recursive=True)]
    assert len(every) > 15, "the scheduler's workers and PostgreSQL's are among them"
    supervisor.send_signal(signal.SIGKILL)
    for process in every:  # a task may have come meanwhile
        if processes.is_alive(process):
            every.extend(process.children(recursive=True))

    whole.down()

    assert [process for process in every if processes.is_alive(process)] == []
    home = str(whole.settings.platform_home)
    for process in psutil.process_iter():
        try:
            told = [*process.cmdline(), process.cwd(), process.environ().get("PLATFORM_INSTANCE", "")]
        except (psutil.Error, OSError):
            continue
        assert process.pid == os.getpid() or not any(home in part for part in told), told
    for port in ports(whole):
        with socket.create_server(("127.0.0.1", port)):
            pass

    assert whole.up()
    end = time.monotonic() + 120  # on a busy machine a heartbeat may be late right after a start
    while complaints := [service for service in whole.status() if not service.healthy]:
        assert time.monotonic() < end, complaints
        time.sleep(1)
