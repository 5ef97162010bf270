"""The Celery workers and their queue: services, environment and probe."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from local.credentials import Credentials, load_or_make
from local.services import airflow, redis, workers
from local.services.debian import Program
from local.services.service import shared_environment
from local.settings import PlatformSettings, temporary_settings
from local.supervisor.platform import Platform

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit

SCALE_OUT = ["redis", "airflow-worker-1", "airflow-worker-2", "airflow-worker-3"]


@pytest.fixture
def settings(tmp_path: Path) -> PlatformSettings:
    return temporary_settings(tmp_path, airflow_executor="celery", celery_workers=3)


@pytest.fixture
def credentials(tmp_path: Path) -> Credentials:
    return load_or_make(tmp_path / "secrets.env")


@pytest.fixture(autouse=True)
def no_debian(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No package is downloaded: the program is not started here."""
    monkeypatch.setattr(redis, "program", lambda name, package: Program(tmp_path / name))


def _shape(home: Path, **asked: object) -> list[str]:
    platform = Platform(temporary_settings(home, **asked))
    load_or_make(platform.settings.layout.secrets)
    return [service.name for service in platform.services() if service.name in SCALE_OUT]


def test_workers_and_their_queue_are_there_only_when_chosen(tmp_path: Path) -> None:
    assert _shape(tmp_path) == []
    assert _shape(tmp_path, airflow_executor="celery", celery_workers=3) == SCALE_OUT


def test_running_platform_keeps_the_services_of_its_start(tmp_path: Path) -> None:
    layout = temporary_settings(tmp_path).layout
    layout.run.mkdir()
    layout.instance.write_text(json.dumps({"shape": {"airflow_executor": "celery", "celery_workers": 1}}))
    assert _shape(tmp_path) == ["redis", "airflow-worker-1"]


def test_scheduler_and_workers_use_the_same_queue(settings: PlatformSettings, credentials: Credentials) -> None:
    environment = airflow.environment(settings, credentials)
    assert environment["AIRFLOW__CORE__EXECUTOR"].endswith(".CeleryExecutor")
    assert environment["AIRFLOW__CELERY__BROKER_URL"] == redis.url(settings, credentials)
    assert environment["AIRFLOW__CELERY__RESULT_BACKEND"] == "db+" + environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"]
    for service in workers.services(settings, credentials, environment):
        assert environment.items() <= dict(service.environment).items()


def test_local_executor_has_no_queue(tmp_path: Path, credentials: Credentials) -> None:
    environment = airflow.environment(temporary_settings(tmp_path), credentials)
    assert environment["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert credentials.redis_password not in " ".join(environment.values())
    assert not [name for name in environment if "CELERY" in name]


def test_the_executor_is_one_that_can_be_imported(settings: PlatformSettings, credentials: Credentials) -> None:
    """A version of Celery that the provider does not support fails here, not in an endlessly restarting scheduler."""
    environment = shared_environment(settings.platform_home) | airflow.environment(settings, credentials)
    module, _, name = workers.executor(settings).rpartition(".")
    command = [sys.executable, "-c", f"from {module} import {name}"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-500:]


@pytest.mark.parametrize(
    ("slots", "seconds"),
    [
        pytest.param(8, "120", id="a-slot-for-each-task"),
        pytest.param(7, "600", id="fewer-slots-than-tasks"),
    ],
)
def test_queued_timeout_depends_on_the_task_slots(
    slots: int, seconds: str, tmp_path: Path, credentials: Credentials
) -> None:
    asked = temporary_settings(tmp_path, airflow_executor="celery", celery_workers=1, celery_concurrency=slots)
    assert airflow.environment(asked, credentials)["AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT"] == seconds


def test_the_queue_listens_on_loopback_and_asks_for_a_password_that_ps_does_not_show(
    settings: PlatformSettings, credentials: Credentials
) -> None:
    redis.prepare(settings, credentials)
    path = settings.layout.redis / "redis.conf"
    lines = path.read_text().splitlines()
    assert {"bind 127.0.0.1", "protected-mode yes", f"requirepass {credentials.redis_password}"} <= set(lines)
    assert path.stat().st_mode & 0o777 == 0o600
    assert credentials.redis_password not in " ".join(redis.service(settings, credentials).command)


def test_worker_without_its_queue_is_not_healthy(settings: PlatformSettings, credentials: Credentials) -> None:
    environment = airflow.environment(settings, credentials)
    complaint = workers.services(settings, credentials, environment)[0].probe(0)
    assert complaint
    assert "the queue does not answer" in complaint
    assert credentials.redis_password not in complaint
