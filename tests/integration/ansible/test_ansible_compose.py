"""The playbook's container variant, with a replacement for Docker, which is not available here.

The tests check the commands of the tasks and their reactions to the answers, not the containers.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.integration.ansible.conftest import Host

pytestmark = pytest.mark.integration

# Answers like Docker, and records its arguments in `calls`. The ledger's answer lists the dropped samples.
DOCKER = """\
#!{python}
import json, pathlib, sys
home = pathlib.Path({home!r})
command = " ".join(sys.argv[1:])
with (home / "calls").open("a") as calls:
    calls.write(command + chr(10))
if command.startswith("version"):
    print("29.1.0")
elif command == "compose version --short":
    print((home / "version").read_text())
elif command.startswith("compose up"):
    print(" Container filegate-redis-1  " + ("Running" if (home / "up").exists() else "Started"), file=sys.stderr)
    (home / "up").touch()
elif command.startswith("compose ps"):
    for line in json.loads((home / "containers").read_text()) if (home / "up").exists() else []:
        print(json.dumps(line))
elif command.startswith("compose port"):
    print("0.0.0.0:{port}")
elif "psql" in command:
    query = sys.stdin.read()
    dropped = [line.split() for line in (home / "calls").read_text().splitlines() if "include.cli" in line]
    if "json_agg" in query:
        print(json.dumps([
            {{"name": words[words.index("--out") + 1].removeprefix("/tmp/"), "error_code": None, "error_message": None,
              "status": "validation_failed" if "bad-date:2" in words else "archived"}}
            for words in dropped
        ]))
    else:
        print("rows of raw.sales|1000|1000")
"""
HEALTHY = [
    {"Service": "postgres", "State": "running", "Health": "healthy", "ExitCode": 0},
    {"Service": "airflow-worker", "State": "running", "Health": "", "ExitCode": 0},
    {"Service": "minio-setup", "State": "exited", "Health": "", "ExitCode": 0},
]
SAMPLES = [
    {"dataset": "sales", "format": "csv", "rows": 1000, "bad": "", "becomes": "archived"},
    {"dataset": "sales", "format": "csv", "rows": 1000, "bad": "bad-date:2", "becomes": "validation_failed"},
]
VARIABLES: dict[str, object] = {
    "filegate_variant": "compose",
    "filegate_settings": {"COMPOSE_PROFILES": "full", "INGEST_RETRIES": 7, "SOURCES_STAND_IN": "false"},
    "filegate_secret_settings": {"AIRFLOW_CONN_SOURCE_SHOP": '\'{"host": "https://shop.example"}\''},
    "filegate_samples": SAMPLES,
    "verify_seconds": 0,
}


class Health(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = json.dumps({name: {"status": "healthy"} for name in ("metadatabase", "scheduler")}).encode()
        self.send_response(200 if self.path == "/api/v2/monitor/health" else 404)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Write no log."""


@pytest.fixture
def docker(host: Host) -> Iterator[Host]:
    """The host with a replacement for Docker, and a `filegate` that only generates passwords."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Health)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    program = host.home / "docker"
    program.write_text(DOCKER.format(python=sys.executable, home=str(host.home), port=server.server_port))
    program.chmod(0o755)
    (host.home / "version").write_text("2.40.3")
    (host.home / "containers").write_text(json.dumps(HEALTHY))
    generate = '[ "$*" = "dev env-file" ] && echo POSTGRES_PASSWORD=made-up-secret > .env'
    host.write_commands("setup:\n\t@echo setup >> ../calls\n", generate)
    yield host
    server.shutdown()
    server.server_close()


def test_all_roles_run_and_a_second_run_changes_nothing(docker: Host) -> None:
    done = docker.play("set_up,start,pipeline,verify", **VARIABLES)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "compose up --detach --quiet-pull" in docker.calls
    dropped = [call for call in docker.calls if "include.cli" in call]
    assert len(dropped) == 2
    assert (
        "exec -T airflow-worker python -m include.cli generate --format csv --rows 1000 --bad bad-date:2" in dropped[1]
    )
    assert dropped[1].endswith("--drop -- sales")
    settings = (docker.checkout / ".env").read_text().splitlines()
    assert settings[0] == "POSTGRES_PASSWORD=made-up-secret"
    assert {"COMPOSE_PROFILES=full", "INGEST_RETRIES=7"} <= set(settings)
    of_pipelines = (docker.checkout / "pipelines.env").read_text().splitlines()
    assert [line for line in of_pipelines if not line.startswith("#")] == ["INGEST_RETRIES=7", "SOURCES_STAND_IN=false"]
    of_sources = (docker.checkout / "sources.env").read_text().splitlines()
    assert [line for line in of_sources if not line.startswith("#")] == [
        """AIRFLOW_CONN_SOURCE_SHOP='{"host": "https://shop.example"}'"""
    ]
    assert "shop.example" not in done.stdout + done.stderr
    assert "made-up-secret" not in done.stdout + done.stderr

    again = docker.play("set_up,start", **VARIABLES)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "changed=0 " in again.stdout, again.stdout


def test_new_code_is_built_before_it_is_started(docker: Host, tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    shutil.copytree(docker.checkout, repository, symlinks=True)
    commit = f"git -C {repository} -c user.name=x -c user.email=x@localhost commit --quiet --allow-empty --message="
    subprocess.run(
        f"git init --quiet --initial-branch main {repository} && git -C {repository} add .", shell=True, check=True
    )
    subprocess.run(f"{commit}one", shell=True, check=True)
    shutil.rmtree(docker.checkout)
    from_repository = VARIABLES | {"filegate_repository": str(repository)}

    def commands() -> list[str]:
        """The Compose commands since the last call."""
        calls = [call.split()[1] for call in docker.calls if call.startswith(("compose build", "compose up"))]
        (docker.home / "calls").write_text("")
        return calls

    for reason, expected in (("the clone", ["build", "up"]), ("nothing new", ["up"])):
        done = docker.play("set_up,start", **from_repository)
        assert done.returncode == 0, done.stdout + done.stderr
        assert commands() == expected, reason
    subprocess.run(f"{commit}two", shell=True, check=True)
    done = docker.play("set_up,start", **from_repository)
    assert done.returncode == 0, done.stdout + done.stderr
    assert commands() == ["build", "up"]


def test_unhealthy_container_is_named_with_the_remedy(docker: Host) -> None:
    (docker.home / "up").touch()
    unhealthy = {"Service": "kafka", "State": "running", "Health": "unhealthy", "ExitCode": 0}
    ended = {"Service": "minio-setup", "State": "exited", "Health": "", "ExitCode": 1}
    (docker.home / "containers").write_text(json.dumps([*HEALTHY[:2], ended, unhealthy]))
    done = docker.play("verify", **VARIABLES)
    output = " ".join(done.stdout.split())
    assert done.returncode != 0
    assert "kafka, minio-setup not healthy" in output
    assert "docker compose up -d" in output


def test_a_compose_plugin_that_is_too_old_is_refused(docker: Host) -> None:
    (docker.home / "version").write_text("2.17.2")
    done = docker.play("set_up", **VARIABLES)
    assert done.returncode != 0
    assert "older than 2.24" in done.stdout + done.stderr
    assert not (docker.checkout / ".env").exists()
