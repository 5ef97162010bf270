"""Nothing that a platform writes contains a secret: its generated passwords are searched for in all of its output.

This file is the last of its folder by name, so the output of the other tests is searched too. Files that contain
secrets on purpose are listed here with the reason.
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import stat
import subprocess
import sys
import urllib.error
import urllib.request
from dataclasses import fields
from typing import TYPE_CHECKING
from urllib.parse import quote

import psutil
import pytest
from psycopg import sql
from secret_search import SecretSearch

from include.samples.badness import Bad, BadKind
from include.stores.object_store import ObjectStore
from local.addresses import for_library
from local.services import bucket
from local.services.postgres import BINARIES, DATABASES, SUPERUSER, superuser_connection
from local.settings import REPOSITORY
from local.supervisor import processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.running_platform import Running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]

NO_SECRETS = {"s3_access_key_id", "mlflow_s3_access_key_id", "airflow_admin_user"}  # names
# Files below the home that contain secrets on purpose, readable by their owner only.
MEANT_TO_HOLD = {
    "secrets.env": "the platform's secrets",
    "run/*.sh": "the environment of each service",
    "run/supervisord.conf": "the password of the supervisor's socket",
    "mlflow_auth.ini": "the address of the database of MLflow's accounts",
    "s3/identities.json": "the keys that the S3 server accepts",
    "airflow/simple_auth_manager_passwords.json.generated": "the password of Airflow's admin",
}
SEARCHED_OTHERWISE = {
    "postgres/**": "the server's data files: its databases are searched as dumps, its log as a file",
    "s3/data/**": "objects in the S3 server's format: they are searched over S3",
}
# Stored in Airflow through its API. Airflow may store them encrypted, and must not show them.
PLANTED = {
    "a connection's password": "canary/password+0001",
    "a connection's extra": "canary/extra+0002",
    "a variable": "canary/variable+0003",
}


# --- the search itself


@pytest.mark.parametrize(
    "write",
    [
        pytest.param(lambda secret: f"a{secret}b".encode(), id="plain"),
        pytest.param(lambda secret: quote(f"a/{secret}", safe="").encode(), id="address"),
        pytest.param(lambda secret: json.dumps({"password": secret}).encode(), id="JSON"),
        pytest.param(lambda secret: json.dumps(json.dumps({"password": secret})).encode(), id="JSON in JSON"),
        pytest.param(lambda secret: repr({"password": secret}).encode(), id="repr"),
        *(
            pytest.param(lambda secret, head=head: base64.b64encode(f"{head}{secret}:x".encode()), id=f"base64 {head}")
            for head in ("", "u", "us", "use")
        ),
        pytest.param(lambda secret: base64.urlsafe_b64encode(f"a{secret}".encode()), id="base64 of addresses"),
        pytest.param(lambda secret: gzip.compress(f"a\n{secret}\n".encode()), id="compressed"),
        pytest.param(lambda secret: secret.encode().hex().encode(), id="hexadecimal"),
    ],
)
def test_search_finds_a_planted_secret(tmp_path: Path, write: Callable[[str], bytes]) -> None:
    secret = 'p"\\ä/+?§~word'
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "clean.log").write_text("nothing here, not even p word")
    (tmp_path / "below" / "planted.log").write_bytes(write(secret))
    search = SecretSearch({"planted": secret})

    assert {(one.where, one.secret) for one in search.in_folder(tmp_path)} == {("below/planted.log", "planted")}
    assert search.in_folder(tmp_path, ["below/planted.*"]) == search.in_folder(tmp_path, ["below/**"]) == set()


def test_search_finds_a_secret_across_two_pieces() -> None:
    assert SecretSearch({"planted": "0123456789"}).in_chunks([b"aa01234", b"56789bb"], "dump")


# --- the platform


@pytest.fixture(scope="module")
def secrets(running: Running) -> dict[str, str]:
    credentials = running.platform.credentials
    made = {field.name: getattr(credentials, field.name) for field in fields(credentials)}
    keys = {f"airflow_fernet_key {n}": key for n, key in enumerate(made.pop("airflow_fernet_key").split(","))}
    return {name: value for name, value in made.items() if name not in NO_SECRETS} | keys | PLANTED


@pytest.fixture(scope="module")
def search(secrets: dict[str, str], driven: None) -> SecretSearch:
    return SecretSearch(secrets)


@pytest.fixture(scope="module")
def driven(running: Running) -> Iterator[None]:
    """Produce output: a good and a bad file, a dbt model, a refused password, and secrets stored in Airflow."""
    running.airflow(
        "connections",
        {
            "connection_id": "canary",
            "conn_type": "http",
            "password": PLANTED["a connection's password"],
            "extra": json.dumps({"api_key": PLANTED["a connection's extra"]}),
        },
    )
    running.airflow("variables", {"key": "canary_password", "value": PLANTED["a variable"]})
    running.sample("sales", "secrets_good.csv", 100, seed=901, start=90_000_000)
    running.sample("sales", "secrets_bad.csv", 100, bad=[Bad(BadKind.BAD_DATE, 1)], seed=902, start=90_001_000)
    for name in ("secrets_good.csv", "secrets_bad.csv"):
        running.drop(name, f"incoming/sales/{name}")
    for name in ("secrets_good.csv", "secrets_bad.csv"):
        running.settled(f"incoming/sales/{name}")
    running.until(lambda: ended(running, "transform_warehouse", "stg_sales"), "dbt has built a model")
    with refused_password(running):
        running.until(lambda: failed(running, "sweep_unmatched"), "a task was refused")
    yield
    delete(running, "connections/canary")
    delete(running, "variables/canary_password")


@contextlib.contextmanager
def refused_password(running: Running) -> Iterator[None]:
    """Make the warehouse refuse the pipeline's password inside the block."""
    credentials = running.platform.credentials
    statement = sql.SQL("ALTER ROLE ingest PASSWORD {}")
    with superuser_connection(running.platform.settings, credentials) as connection:
        connection.execute("SET log_min_error_statement = panic")
        connection.execute(statement.format(sql.Literal("another one")))
        try:
            yield
        finally:
            connection.execute(statement.format(sql.Literal(credentials.warehouse_ingest_password)))


def ended(running: Running, dag: str, task: str) -> bool:
    path = f"dags/{dag}/dagRuns/~/taskInstances?limit=100&state=success&state=failed"
    return any(one["task_id"].endswith(task) for one in running.airflow(path)["task_instances"])


def failed(running: Running, dag: str) -> bool:
    return bool(running.airflow(f"dags/{dag}/dagRuns?state=failed&limit=1")["dag_runs"])


def delete(running: Running, path: str) -> None:
    with contextlib.suppress(ValueError):  # the answer is empty
        running.airflow(path, method="DELETE")


def test_files_hold_no_secret(running: Running, search: SecretSearch) -> None:
    """Logs of services and tasks, reports, rejects, quarantine, quality pages, artefacts of dbt and of MLflow."""
    home = running.platform.settings.platform_home
    assert search.in_folder(home, [*MEANT_TO_HOLD, *SEARCHED_OTHERWISE]) == set()


def test_objects_hold_no_secret(running: Running, search: SecretSearch) -> None:
    """All buckets are searched, except processed/, which has the partners' files."""
    platform = running.platform
    store = ObjectStore(bucket.admin_config(platform.settings, platform.credentials))
    searched = 0
    for name in ("landing", "raw-data", "lake", "mlflow", "quality-docs"):
        for item in store.list(name, ""):
            if item.key.startswith("processed/"):
                continue
            _, chunks = store.read(name, item.key)
            where = f"{name}/{item.key}"
            assert search.in_text(item.key, where) | search.in_chunks(chunks, where) == set()
            searched += 1
    assert searched


@pytest.mark.parametrize("pattern", MEANT_TO_HOLD)
def test_files_with_secrets_are_private(running: Running, search: SecretSearch, pattern: str) -> None:
    found = list(running.platform.settings.platform_home.glob(pattern))
    assert {stat.S_IMODE(path.stat().st_mode) for path in found} == {0o600}
    assert any(search.in_file(path, path.name) for path in found), "it contains no secret: remove it from MEANT_TO_HOLD"


@pytest.mark.parametrize("database", [one.name for one in DATABASES])
def test_databases_hold_no_secret(running: Running, search: SecretSearch, database: str) -> None:
    """Airflow's XCom, rendered templates, audit log and connections; MLflow's runs; the ledger."""
    settings, password = running.platform.settings, running.platform.credentials.postgres_password
    command = [str(BINARIES / "pg_dump"), f"--port={settings.postgres_port}", "--host=127.0.0.1", "--no-password"]
    # raw has the partners' rows.
    command += [f"--username={SUPERUSER}", "--exclude-table-data=raw.*", f"--dbname={database}"]
    with subprocess.Popen(command, env={"PGPASSWORD": password}, stdout=subprocess.PIPE) as dump:
        assert dump.stdout
        found = search.in_chunks(iter(lambda: dump.stdout.read(16 * 1024**2), b""), database)  # type: ignore[union-attr]
    assert dump.returncode == 0
    assert found == set()


def test_airflow_encrypts_connections_and_variables(running: Running, search: SecretSearch) -> None:
    with superuser_connection(running.platform.settings, running.platform.credentials, "airflow") as connection:
        closed = connection.execute(
            "SELECT is_encrypted, is_extra_encrypted FROM connection WHERE conn_id = 'canary' "
            "UNION ALL SELECT is_encrypted, is_encrypted FROM variable WHERE key = 'canary_password'"
        ).fetchall()
    assert closed == [(True, True), (True, True)]
    for path in ("connections", "connections/canary", "variables", "variables/canary_password"):
        assert search.in_text(json.dumps(running.airflow(path)), path) == set()


@pytest.mark.parametrize(
    "path",
    [
        "dags?limit=100",
        "dags/~/dagRuns?limit=100&order_by=-run_after",
        "dags/~/dagRuns/~/taskInstances?limit=100",
        "dags/sweep_unmatched/dagRuns/~/taskInstances?limit=100&state=failed",
        "eventLogs?limit=100&order_by=-when",
        "importErrors",
        "plugins",
        "providers",
        "assets/events?limit=100",
    ],
)
def test_airflows_answers_hold_no_secret(running: Running, search: SecretSearch, path: str) -> None:
    assert search.in_text(json.dumps(running.airflow(path)), path) == set()


def test_airflow_does_not_show_its_configuration(running: Running) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        running.airflow("config")
    assert refused.value.code == 403


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("ML_API_URL", "/health"),
        ("ML_API_URL", "/metrics"),
        ("ML_API_URL", "/openapi.json"),
        ("MLFLOW_TRACKING_URI", "/"),
        ("MLFLOW_TRACKING_URI", "/api/2.0/mlflow/experiments/search?max_results=100"),
        ("AIRFLOW_URL", "/api/v2/monitor/health"),
        ("AIRFLOW_URL", "/api/v2/version"),
    ],
)
def test_pages_without_a_login_hold_no_secret(running: Running, search: SecretSearch, name: str, path: str) -> None:
    address = for_library(running.platform)[name] + path
    try:
        answer = urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=30)
    except urllib.error.HTTPError as refusal:
        answer = refusal
    with answer:
        assert answer.status == (401 if name == "MLFLOW_TRACKING_URI" else 200)
        assert search.in_bytes(answer.read() + str(answer.headers).encode(), path) == set()


def test_command_lines_hold_no_secret(running: Running, search: SecretSearch) -> None:
    """Every process of the machine is checked, because any user can list them."""
    ours = {one.pid for one in processes.find(running.platform.settings.layout, running.platform._session())}
    assert len(ours) > 15
    seen = set()
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            seen.add(process.pid)
            assert search.in_text(" ".join(process.cmdline()), process.name()) == set()
    assert len(seen & ours) > 15


@pytest.mark.parametrize("arguments", [("status",), ("schedules",), ("drop", "/no/such/file")], ids=" ".join)
def test_commands_print_no_secret(running: Running, search: SecretSearch, arguments: tuple[str, ...]) -> None:
    """`env` prints secrets on purpose, and is not in the list."""
    environment = os.environ | {"PLATFORM_HOME": str(running.platform.settings.platform_home)}
    command = [sys.executable, "-m", "local", *arguments]
    done = subprocess.run(command, env=environment, cwd=REPOSITORY, capture_output=True, check=False, timeout=120)
    assert done.stdout + done.stderr
    assert search.in_bytes(done.stdout + done.stderr, " ".join(arguments)) == set()
