"""The playbook's variant without Docker, with a Makefile that only records its targets, and a `filegate` of a line.

tests/long/test_ansible.py tests the playbook with a running platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.integration.ansible.conftest import Host

pytestmark = pytest.mark.integration

MAKEFILE = """\
setup:
	@echo setup >> ../calls
up:
	@echo up >> ../calls; touch ../up; echo The platform is up.
down:
	@echo down >> ../calls; rm ../up 2> /dev/null && echo The platform is down. || echo Nothing was running.
"""
BROKEN_START = """\
setup:
up:
	@echo "airflow-scheduler: last log line" >&2; echo "error: port 5433 for postgres is taken: stop that" >&2; exit 1
"""


def test_new_settings_restart_the_platform_and_keep_other_lines(host: Host) -> None:
    host.write_commands(MAKEFILE, '[ "$*" = status ] && test -e ../up')
    (host.checkout / ".env").write_text("INGEST_POKE_SECONDS=7\n")
    first = host.play("set_up,start", filegate_settings={"AIRFLOW_PORT": 18080})
    assert first.returncode == 0, first.stdout
    assert host.calls == ["setup", "down", "up"], "nothing ran, so only the role start had something to start"

    secret = {"SOURCE_GITHUB_TOKEN": "made-up-secret"}
    other = host.play("set_up", filegate_settings={"AIRFLOW_PORT": 18081}, filegate_secret_settings=secret)
    assert other.returncode == 0, other.stdout
    assert host.calls[3:] == ["setup", "down", "up"], "what ran is restarted, without the role start"
    assert "made-up-secret" not in other.stdout + other.stderr
    settings = host.checkout / ".env"
    lines = [line for line in settings.read_text().splitlines() if not line.startswith("#")]
    assert lines == ["INGEST_POKE_SECONDS=7", "AIRFLOW_PORT=18081", "SOURCE_GITHUB_TOKEN=made-up-secret"]
    assert settings.stat().st_mode & 0o777 == 0o600


def test_failed_start_shows_the_reason(host: Host) -> None:
    host.write_commands(BROKEN_START, "exit 3")
    done = host.play("start")
    assert done.returncode != 0
    message = [line.strip() for line in done.stdout.rsplit("Report why", maxsplit=1)[-1].splitlines()]
    assert "error: port 5433 for postgres is taken: stop that" in message
    assert any(line.startswith("The started services are stopped again. Correct the cause") for line in message)


@pytest.mark.parametrize(
    ("variables", "remedy"),
    [
        pytest.param({}, "or filegate_repository to the repository to clone", id="no checkout"),
        pytest.param({"filegate_variant": "docker"}, "set the first to embedded or compose", id="unknown variant"),
        pytest.param({"filegate_path": "relative"}, "the second to an absolute path", id="relative path"),
    ],
)
def test_invalid_variable_is_refused_with_the_remedy(host: Host, variables: dict[str, object], remedy: str) -> None:
    done = host.play("set_up", **variables)
    assert done.returncode != 0
    assert remedy in " ".join((done.stdout + done.stderr).split())


def test_host_without_python_gets_the_packages_to_install(host: Host) -> None:
    python = host.checkout / ".venv" / "bin" / "python"
    python.unlink()
    python.write_text("#!/bin/sh\nexit 127\n")
    python.chmod(0o755)
    done = host.play("set_up")
    assert done.returncode != 0
    output = " ".join((done.stdout + done.stderr).split())
    assert "Python 3.11 with its venv module is missing: install it" in output
    assert "apt-get install git make python3.11 python3.11-venv" in output
