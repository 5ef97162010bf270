"""The whole platform with real Airflow: health of the services, logins, listening ports."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from contextlib import suppress
from typing import TYPE_CHECKING

import psutil
import pytest

from local.addresses import for_library
from local.supervisor import processes
from tests.running_platform import listening_ports

if TYPE_CHECKING:
    from local.supervisor.platform import Platform
    from tests.running_platform import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


@pytest.fixture
def whole(running: Running) -> Platform:
    return running.platform


def ask(address: str, *, token: str = "", body: dict[str, str] | None = None) -> tuple[int, dict[str, object]]:
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    request = urllib.request.Request(address, json.dumps(body).encode() if body else None, headers)
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, {}


def log_in(platform: Platform, password: str) -> tuple[int, dict[str, object]]:
    variables = for_library(platform)
    login = {"username": variables["AIRFLOW_USER"], "password": password}
    return ask(f"{variables['AIRFLOW_URL']}/auth/token", body=login)


def test_every_service_is_healthy(whole: Platform) -> None:
    assert {service.name: service.complaint for service in whole.status()} == dict.fromkeys(
        [
            "postgres",
            "s3",
            "kafka",
            "ml-api",
            "stand-ins",
            "mlflow",
            "airflow-api-server",
            "airflow-scheduler",
            "airflow-dag-processor",
            "airflow-triggerer",
            "airflow-cleanup",
        ],
        "",
    )


def test_airflow_accepts_only_the_password_of_make_env(whole: Platform) -> None:
    status, answer = log_in(whole, for_library(whole)["AIRFLOW_PASSWORD"])
    assert status == 201
    dags = f"{for_library(whole)['AIRFLOW_URL']}/api/v2/dags"
    assert ask(dags, token=str(answer["access_token"]))[0] == 200
    assert log_in(whole, "admin")[0] == 401
    assert ask(dags)[0] == 401


def test_everything_listens_only_on_the_loopback_interface(whole: Platform) -> None:
    found = set()
    for process in processes.find(whole.settings.layout, whole._session()):
        with suppress(psutil.Error, FileNotFoundError):  # a task that has ended meanwhile
            listening = (one for one in process.net_connections("inet") if one.status == psutil.CONN_LISTEN)
            found.update(tuple(one.laddr) for one in listening)
    assert found == {("127.0.0.1", port) for port in listening_ports(whole)}


def test_a_second_up_starts_nothing(whole: Platform) -> None:
    assert not whole.up()
