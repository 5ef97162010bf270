"""The commands of the platform: exit codes, and errors of one line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from include.errors import Code, RetryableError
from local import __main__ as commands
from local import settings
from local.__main__ import app
from local.credentials import Credentials, load_or_make
from local.settings import PlatformSettings
from local.supervisor.platform import Platform
from local.supervisor.status import ServiceStatus

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_status_before_the_first_start() -> None:
    result = run("status")
    assert result.exit_code == 3
    assert "make up" in result.output


def test_status_and_up_name_lines_that_are_no_longer_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("STREAM_POKE_SECONDS=7\n")
    monkeypatch.setattr(settings, "ENV_FILE", tmp_path / ".env")
    line = "STREAM_POKE_SECONDS is no longer a setting; remove the line from .env.\n"
    assert run("status").stderr == line
    monkeypatch.setattr(Platform, "_wanted", lambda *_: [])
    assert run("up").stderr == line


def test_status_as_json_before_the_first_start() -> None:
    result = run("status", "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout) == {"services": [], "problems": [], "sources": []}
    assert "make up" in result.stderr


SERVICES = [
    ServiceStatus(
        "airflow-dag-processor", "RUNNING", 1234567, 360_000.5, 65535, "http://127.0.0.1:65535/a/long/path", ""
    ),
    ServiceStatus("postgres", "BACKOFF", None, None, 5433, "127.0.0.1:5433/warehouse", "not running"),
]


def test_status_as_json_has_services_and_problems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Platform, "status", lambda _: SERVICES)
    monkeypatch.setattr(commands, "_dag_problems", lambda *_: ["sales has a contract, and no DAG ingest_sales"])
    result = run("status", "--json")
    assert result.exit_code == 3
    found = json.loads(result.stdout)
    assert [(one["name"], one["healthy"], one["port"], one["complaint"]) for one in found["services"]] == [
        ("airflow-dag-processor", True, 65535, ""), ("postgres", False, 5433, "not running")
    ]  # fmt: skip
    assert found["problems"] == ["sales has a contract, and no DAG ingest_sales"]
    assert "sales has a contract" in result.stderr
    assert {"weather", "crypto_prices"} <= {one["name"] for one in found["sources"]}
    assert {(one["status"], one["next_run"]) for one in found["sources"]} == {(None, None)}, "no service answers"


def test_status_lists_the_sources_below_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Platform, "status", lambda _: SERVICES)
    monkeypatch.setattr(commands, "_dag_problems", lambda *_: [])
    _, sources = run("status").stdout.split("\n\n")
    assert sources.splitlines()[0].split() == [
        "SOURCE", "LAST", "RUN", "STATUS", "READ", "WRITTEN", "FAILED", "NEXT", "RUN",
    ]  # fmt: skip
    assert "weather" in [line.split()[0] for line in sources.splitlines()]


def test_status_goes_on_without_the_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise RetryableError(Code.WAREHOUSE_UNAVAILABLE, "The warehouse does not answer.")

    monkeypatch.setattr(Platform, "status", lambda _: SERVICES)
    monkeypatch.setattr(commands, "_dag_problems", lambda *_: [])
    monkeypatch.setattr(commands.source_status, "sources_with_next_run", fail)
    result = run("status", "--json")
    assert json.loads(result.stdout)["sources"] == []
    assert result.stderr.endswith("sources: warehouse-unavailable: The warehouse does not answer.\n")


def test_table_of_services_fits_80_columns(capsys: pytest.CaptureFixture[str]) -> None:
    Console(width=80).print(commands._status_table(SERVICES, plain=True))
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert "http://127.0.0.1:65535/a/long/path" in "".join(line[lines[0].index("ADDRESS") :].strip() for line in lines)


def test_env_before_the_first_start() -> None:
    result = run("env")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "never started" in result.stderr


def test_down_and_clean_before_the_first_start() -> None:
    assert run("down").output == "Nothing was running.\n"
    assert run("clean").output.startswith("There is no ")


def test_a_bad_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_PORT", "ninety")
    result = run("status")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: a setting cannot be used: S3_PORT=ninety: ")
    assert result.stderr.count("\n") == 1


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "file" / "home"))
    result = run("up")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: Not a directory: ")


def test_a_missing_file_cannot_be_dropped(tmp_path: Path) -> None:
    result = run("drop", str(tmp_path / "none.csv"), "--dataset", "sales")
    assert result.exit_code == 1
    assert "is not a file" in result.stderr


@pytest.fixture
def credentials() -> Credentials:
    """The secrets of a platform that was started once."""
    layout = PlatformSettings().layout
    layout.home.mkdir()
    return load_or_make(layout.secrets)


@pytest.mark.parametrize(
    ("options", "more"),
    [
        ([], set()),
        (["--owner"], {"WAREHOUSE_OWNER_DSN", "WAREHOUSE_OWNER_USER", "WAREHOUSE_OWNER_PASSWORD"}),
        (["--aws"], {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL_S3"}),
        (["--services"], {"S3_SECRET_ACCESS_KEY", "WAREHOUSE_INGEST_PASSWORD", "WAREHOUSE_TRANSFORM_PASSWORD"}),
    ],
    ids=["nothing", "owner", "aws", "services"],
)
def test_env_prints_other_secrets_on_request_only(credentials: Credentials, options: list[str], more: set[str]) -> None:
    done = CliRunner().invoke(app, ["env", *options])

    assert done.exit_code == 0, done.output
    exported = dict(line.removeprefix("export ").split("=", 1) for line in done.output.splitlines())
    assert more <= set(exported)
    common = {
        "AIRFLOW_PASSWORD", "WAREHOUSE_DSN", "WAREHOUSE_READER_PASSWORD", "WAREHOUSE_LAKE_READER_PASSWORD",
        "S3_LAKE_READER_ACCESS_KEY_ID", "S3_LAKE_READER_SECRET_ACCESS_KEY",
    }  # fmt: skip
    secrets = {name for name in exported if name.endswith(("PASSWORD", "DSN", "SECRET_ACCESS_KEY", "ACCESS_KEY_ID"))}
    if not options:
        assert secrets == common
    assert exported["WAREHOUSE_DSN"].startswith(f"postgresql://reader:{credentials.warehouse_reader_password}@")
    assert bool(options) or credentials.warehouse_owner_password not in done.output
