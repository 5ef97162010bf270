"""The commands for schemas, without a registry."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR, ingest_settings, stream_settings
from include.streams.avro_schema import avro_schema
from include.streams.schema_command import app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture(autouse=True)
def _fresh_settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv("SCHEMA_REGISTRY_URL", raising=False)
    for settings in (stream_settings, ingest_settings):
        settings.cache_clear()
    yield
    for settings in (stream_settings, ingest_settings):
        settings.cache_clear()


def test_show_prints_the_schema_and_nothing_else() -> None:
    result = CliRunner().invoke(app, ["show", "sales"])
    assert result.exit_code == 0
    assert json.loads(result.stdout) == avro_schema(read_contract(CONTRACTS_DIR / "sales.yaml"))


@pytest.mark.parametrize("action", ["show", "check", "register"])
def test_unknown_dataset_is_one_line_with_the_known_ones(action: str) -> None:
    result = CliRunner().invoke(app, [action, "slaes"])
    assert result.exit_code == 1
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("error: there is no contract for 'slaes'; did you mean sales? datasets: activity, ")


@pytest.mark.parametrize("action", ["check", "register"])
@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param(None, "SCHEMA_REGISTRY_URL is not set", id="not set"),
        pytest.param("", "SCHEMA_REGISTRY_URL is not set", id="empty"),
        pytest.param("127.0.0.1:8081", "SCHEMA_REGISTRY_URL must be an address", id="no address"),
    ],
)
def test_missing_registry_is_one_line(
    monkeypatch: pytest.MonkeyPatch, action: str, url: str | None, message: str
) -> None:
    if url is not None:
        monkeypatch.setenv("SCHEMA_REGISTRY_URL", url)
    result = CliRunner().invoke(app, [action, "sales"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert message in result.stderr


def test_broken_contract_is_reported_with_its_problem(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "sales.yaml").write_text((CONTRACTS_DIR / "sales.yaml").read_text().replace("newestBy", "newestby"))
    monkeypatch.setenv("INGEST_CONTRACTS_DIR", str(tmp_path))
    result = CliRunner().invoke(app, ["show", "sales"])
    assert result.exit_code == 1
    assert "write 'newestBy'" in result.stderr
