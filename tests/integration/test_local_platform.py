"""The embedded platform with its stores only: durability, cleaning up, access rights.

Starts are slow, so tests that only read share one platform (`platform`), and tests that break something start another
one (`own`).
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

import psutil
import psycopg
import pytest
from own_platform import own_platform
from pydantic import SecretStr

from local.commands import landing
from local.errors import PlatformError
from local.services import bucket, ml_api, seaweedfs
from local.services.postgres import superuser_connection
from local.settings import PORTS, REPOSITORY, temporary_settings
from local.supervisor import processes
from local.supervisor.platform import ML_API, S3, STORES, Platform
from local.supervisor.readiness import NotReadyError
from ml_api.categories import CATEGORIES
from ml_api.json_route import MAX_BODY_BYTES
from tests.source_runs import DENIED, delete_source_runs, write_source_runs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.settings import WarehouseConfig
    from local.settings import PlatformSettings

pytestmark = pytest.mark.integration


@pytest.fixture(scope="module")
def platform() -> Iterator[Platform]:
    """A platform with no services but the stores, unlike the platform of the other tests."""
    with own_platform() as running:
        yield running


@pytest.fixture
def own() -> Iterator[Platform]:
    """A platform that a test may break. PostgreSQL's user can enter its home, unlike pytest's folders."""
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    platform = Platform(temporary_settings(home))
    try:
        yield platform
    finally:
        platform.down()
        shutil.rmtree(home)


def connect(config: WarehouseConfig, **changes: object) -> psycopg.Connection[tuple[object, ...]]:
    parameters = {
        "host": config.host,
        "port": config.port,
        "dbname": config.database,
        "user": config.user,
        "password": config.password.get_secret_value(),
    }
    return psycopg.connect(**(parameters | changes), autocommit=True)


def left_over(settings: PlatformSettings) -> list[str]:
    """The command lines of all processes of this platform, found without `local.supervisor.processes`."""
    home, found = str(settings.platform_home), []
    for process in psutil.process_iter():
        try:
            texts = [*process.cmdline(), process.cwd(), process.environ().get("PLATFORM_INSTANCE", "")]
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(home in text for text in texts):
            found.append(" ".join(process.cmdline()))
    return found


def listening(settings: PlatformSettings) -> list[int]:
    found = []
    for port in (*(getattr(settings, name) for name in PORTS), *seaweedfs.internal_ports(settings)):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                found.append(port)
    return found


def kill_supervisor(platform: Platform) -> None:
    pid = int((platform.settings.layout.run / "supervisord.pid").read_text())
    os.kill(pid, signal.SIGKILL)


# --- reading the shared platform


def test_the_warehouse_is_utf8_and_sorts_by_code_point(platform: Platform) -> None:
    with connect(platform.warehouse_config("owner")) as connection:
        row = connection.execute(
            "SELECT pg_encoding_to_char(encoding), datlocprovider, datlocale FROM pg_database WHERE datname = %s",
            ["warehouse"],
        ).fetchone()
    assert row == ("UTF8", "b", "C.UTF-8")


def test_a_commit_is_durable(platform: Platform) -> None:
    with connect(platform.warehouse_config("owner")) as connection:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert connection.execute("SELECT current_setting(%s)", [name]).fetchone() == ("on",)


def test_the_configuration_of_the_repository_is_in_force(platform: Platform) -> None:
    with connect(platform.warehouse_config("owner")) as connection:
        assert connection.execute("SHOW shared_buffers").fetchone() == ("512MB",)
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)


@pytest.mark.parametrize("role", ["owner", "ingest", "transform", "reader"])
def test_a_role_of_the_warehouse_sees_the_warehouse_only(platform: Platform, role: str) -> None:
    config = platform.warehouse_config(role)
    with connect(config) as connection:
        row = connection.execute("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = user")
        assert row.fetchone() == (False, False, False)
    for other in ("airflow", "mlflow", "metabase", "postgres"):
        with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
            connect(config, dbname=other)


@pytest.mark.parametrize("role", ["airflow", "mlflow", "metabase"])
def test_an_application_sees_its_own_database_only(platform: Platform, role: str) -> None:
    password = getattr(platform.credentials, f"{role}_db_password")
    config = platform.warehouse_config()
    connect(config, dbname=role, user=role, password=password).close()
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        connect(config, user=role, password=password)


def test_a_wrong_password_is_refused(platform: Platform) -> None:
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        connect(platform.warehouse_config(), password="guess")


def test_the_buckets_are_there_and_closed_to_strangers(platform: Platform) -> None:
    found = {entry["Name"] for entry in bucket.client(platform.s3_config).list_buckets()["Buckets"]}
    assert found >= {"landing", "raw-data", "lake", "quality-docs"}
    stranger = platform.s3_config.model_copy(update={"secret_access_key": SecretStr("guess")})
    with pytest.raises(bucket.ClientError):
        bucket.client(stranger).list_buckets()


def test_a_dropped_file_arrives_whole(platform: Platform, tmp_path: Path) -> None:
    file = tmp_path / "sales_big.csv"
    file.write_bytes(os.urandom(20 * 2**20))  # more than one part
    sent: list[int] = []
    landing.upload(platform.s3_config, file, landing.object_key(file), sent.append)
    body = bucket.client(platform.s3_config).get_object(Bucket="landing", Key="incoming/sales/sales_big.csv")["Body"]
    assert body.read() == file.read_bytes()
    assert sum(sent) == file.stat().st_size


def test_no_secret_is_on_a_command_line_or_in_a_log(platform: Platform) -> None:
    secrets = {value for name, value in vars(platform.credentials).items() if not name.endswith(("_user", "_id"))}
    lines = left_over(platform.settings)
    logs = [path.read_text() for path in platform.settings.layout.logs.iterdir()]
    assert lines
    assert logs
    assert not [text for text in (*lines, *logs) if any(secret in text for secret in secrets)]


def test_services_listen_on_the_loopback_interface_alone(platform: Platform) -> None:
    session = platform._session()
    found = [
        connection.laddr
        for process in processes.find(platform.settings.layout, session)
        for connection in process.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert {tuple(address) for address in found} == {
        ("127.0.0.1", platform.settings.postgres_port),
        ("127.0.0.1", platform.settings.s3_port),
        *(("127.0.0.1", port) for port in seaweedfs.internal_ports(platform.settings)),
    }


def test_status_shows_the_last_run_of_each_source(platform: Platform) -> None:
    write_source_runs(platform.warehouse_config(), "status_shop")
    done = subprocess.run(
        [sys.executable, "-m", "local", "status"],
        cwd=REPOSITORY,
        env=os.environ | {"PLATFORM_HOME": str(platform.settings.platform_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    delete_source_runs(platform.warehouse_config("owner"), "status_shop")
    [shop, remark] = [line.split() for line in done.stdout.splitlines() if line.startswith("status_shop")]
    assert shop[-5:] == ["failed", "52", "35", "3", "-"]
    assert " ".join(remark) == f"status_shop: source-refused in /south: {DENIED.message}"
    assert "answered by a stand-in, not by the real API: status_shop" in done.stdout


def test_status_shows_running_and_stopped_services(platform: Platform) -> None:
    healthy = {service.name: service.healthy for service in platform.status()}
    assert [name for name, is_healthy in healthy.items() if is_healthy] == list(STORES)
    done = subprocess.run(
        [sys.executable, "-m", "local", "status"],
        cwd=REPOSITORY,
        env=os.environ | {"PLATFORM_HOME": str(platform.settings.platform_home)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 3, "Airflow does not run"
    [postgres] = [line.split() for line in done.stdout.splitlines() if line.startswith("postgres")]
    assert (postgres[1], postgres[4]) == ("healthy", str(platform.settings.postgres_port))


# --- starting and stopping


def test_data_survives_down_and_the_second_up_is_idle(own: Platform) -> None:
    assert own.up(STORES)
    with connect(own.warehouse_config("owner")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    bucket.client(own.s3_config).put_object(Bucket="lake", Key="kept", Body=b"42")
    assert not own.up(STORES)

    sockets = seaweedfs._sockets(own.settings)
    assert all(path.exists() for path in sockets)
    assert own.down() == 2
    assert left_over(own.settings) == []
    assert listening(own.settings) == []
    assert not any(path.exists() for path in sockets)

    assert own.up(STORES)
    with connect(own.warehouse_config("owner")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)
    assert bucket.client(own.s3_config).get_object(Bucket="lake", Key="kept")["Body"].read() == b"42"


def test_down_after_the_supervisor_was_killed_leaves_nothing(own: Platform) -> None:
    own.up(STORES)
    with connect(own.warehouse_config("owner")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
    kill_supervisor(own)
    time.sleep(0.2)
    assert listening(own.settings), "the services have ended with their supervisor: nothing is tested"

    assert own.down() > 0
    assert left_over(own.settings) == []
    assert listening(own.settings) == []
    assert not own.settings.layout.run.exists()

    own.up(STORES)
    with connect(own.warehouse_config("owner")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_up_after_everything_was_killed_recovers_the_data(own: Platform) -> None:
    own.up(STORES)
    with connect(own.warehouse_config("owner")) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS answer")
        for process in [*processes.find(own.settings.layout, own._session())]:
            with suppress(psutil.NoSuchProcess):  # a child of PostgreSQL ends with its parent
                process.kill()
    assert own.up(STORES)
    with connect(own.warehouse_config("owner")) as connection:
        assert connection.execute("SELECT answer FROM kept").fetchone() == (42,)


def test_down_works_after_the_folder_was_deleted(own: Platform) -> None:
    own.up(STORES)
    settings = own.settings
    home = settings.platform_home
    hidden = home.with_name(home.name + "-moved")
    home.rename(hidden)
    try:
        assert own.down() > 0
        assert listening(settings) == []
        assert not any(path.exists() for path in seaweedfs._sockets(settings))
    finally:
        hidden.rename(home)


def test_a_service_that_dies_is_started_again(own: Platform) -> None:
    own.up([S3])
    [before] = [service for service in own.status() if service.name == S3]
    os.kill(before.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        [after] = [service for service in own.status() if service.name == S3]
        if after.healthy and after.pid != before.pid:
            return
        time.sleep(0.1)
    pytest.fail(f"still {after}")


def test_a_taken_port_is_named_and_nothing_is_left(own: Platform) -> None:
    with socket.create_server(("127.0.0.1", own.settings.s3_port)):
        with pytest.raises(PlatformError) as caught:
            own.up(STORES)
        assert f"port {own.settings.s3_port} for s3 is taken by" in str(caught.value)
        assert str(os.getpid()) in str(caught.value)
        assert "S3_PORT" in caught.value.remedy
        assert listening(own.settings) == [own.settings.s3_port]
    assert left_over(own.settings) == []


def test_failed_service_shows_its_log_and_the_others_are_stopped(own: Platform) -> None:
    own.up(STORES)
    own.down()
    (own.settings.layout.postgres / "global" / "pg_control").rename(own.settings.layout.home / "pg_control")
    with pytest.raises(PlatformError) as caught:
        own.up(STORES)
    assert caught.value.message == "postgres ends right after its start"
    assert caught.value.remedy == f"look into {own.settings.layout.logs / 'postgres.log'}"
    assert any("pg_control" in line for line in caught.value.context)
    assert left_over(own.settings) == []
    assert listening(own.settings) == []


def test_a_failed_addition_leaves_what_ran_before(own: Platform) -> None:
    own.up([S3])
    with socket.create_server(("127.0.0.1", own.settings.postgres_port)), pytest.raises(PlatformError):
        own.up(STORES)
    assert [service.name for service in own.status() if service.healthy] == [S3]


def test_second_start_continues_with_a_service_that_was_not_ready(
    own: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasty = Platform(own.settings.model_copy(update={"platform_start_seconds": -1}))
    with pytest.raises(NotReadyError, match="PLATFORM_START_SECONDS"):
        hasty.up(STORES)
    assert {service.name for service in own.status() if service.pid} == set(STORES)
    # Parts of the S3 server with different certificates could not connect to each other.
    certificate = (own.settings.layout.s3 / "certificate.pem").read_bytes()

    assert own.up(STORES)

    assert {service.name for service in own.status() if service.healthy} == set(STORES)
    assert (own.settings.layout.s3 / "certificate.pem").read_bytes() == certificate
    with superuser_connection(own.settings, own.credentials) as connection:
        assert connection.execute("SELECT FROM pg_database WHERE datname = 'warehouse'").fetchone() is not None
    assert not own.up(STORES)


def test_clean_deletes_everything(own: Platform) -> None:
    own.up([S3])
    assert own.clean()
    assert not own.settings.platform_home.exists()
    assert listening(own.settings) == []
    own.settings.platform_home.mkdir()  # for the fixture


def test_ports_of_the_running_platform_have_priority(own: Platform) -> None:
    own.up([S3])
    later = Platform(temporary_settings(own.settings.platform_home))
    assert later.settings == own.settings.model_copy()
    assert later.down() == 1


# --- the ML service


def ask(address: str, body: bytes | None = None, token: str = "") -> tuple[int, bytes]:
    request = urllib.request.Request(address, body, {"Authorization": f"Bearer {token}"} if token else {})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_ml_service_starts_alone_predicts_and_stops(own: Platform) -> None:
    assert own.up([ML_API])
    assert not own.up([ML_API])
    assert [service.name for service in own.status() if service.healthy] == [ML_API]
    assert listening(own.settings) == [own.settings.ml_api_port]

    url = ml_api.url(own.settings)
    one = {
        "description": "Card",
        "amount": "12.50",
        "timestamp": "2026-03-01T12:00:00Z",
        "operation_type": "card",
        "side": "debit",
    }
    batch = [one | {"id": str(uuid4())} for _ in range(1000)]
    token, body = own.credentials.ml_api_token, json.dumps({"transactions": batch}).encode()
    assert ask(f"{url}/predict/batch", body)[0] == ask(f"{url}/predict/batch", body, "another")[0] == 401
    status, body = ask(f"{url}/predict/batch", body, token)
    predictions = [{"id": row["id"], "category": CATEGORIES[hash(UUID(row["id"])) % len(CATEGORIES)]} for row in batch]
    assert (status, json.loads(body)) == (200, {"predictions": predictions})

    status, body = ask(f"{url}/predict", b" " * (MAX_BODY_BYTES + 1), token)
    assert (status, "send fewer" in json.loads(body)["detail"]) == (413, True)
    assert b'ml_api_requests_total{path="/predict",status="413"} 1.0' in ask(f"{url}/metrics")[1]

    log = own.settings.layout.logs / f"{ML_API}.log"
    assert own.down() == 1
    assert left_over(own.settings) == []
    assert "Shutting down" in log.read_text()
    assert "/predict" not in log.read_text(), "a line for each request"
    assert "exit status 0" in (own.settings.layout.logs / "supervisor.log").read_text()
