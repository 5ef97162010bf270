"""The command `python -m include.contracts`."""

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.contracts.__main__ import app
from include.settings import CONTRACTS_DIR, IngestSettings

pytestmark = pytest.mark.unit


def test_check_accepts_the_shipped_contracts() -> None:
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 0, result.output
    assert result.output.count("sound ") == len(list(CONTRACTS_DIR.glob("*.yaml")))
    assert re.search(r"sales\.yaml\s+\(\d+ columns, key sale_id, \d+ row rules, \d+ checks\)", result.output)


def test_check_names_the_problems_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "sales.yaml"
    path.write_text((CONTRACTS_DIR / "sales.yaml").read_text().replace("newestBy", "newestby"))
    result = CliRunner().invoke(app, ["check", str(path), str(CONTRACTS_DIR / "inventory.yaml")])
    assert result.exit_code == 1
    assert f"BROKEN  {path}" in result.output
    assert "customProperties[0].value.newestby: unknown key. Remedy: write 'newestBy'" in result.output
    assert "sound   " in result.output


def test_check_as_json_has_each_contract_and_each_problem(tmp_path: Path) -> None:
    path = tmp_path / "sales.yaml"
    path.write_text((CONTRACTS_DIR / "sales.yaml").read_text().replace("newestBy", "newestby"))
    result = CliRunner().invoke(app, ["check", "--json", str(path), str(CONTRACTS_DIR / "inventory.yaml")])
    assert result.exit_code == 1
    broken, sound = json.loads(result.stdout)
    assert (broken["path"], broken["sound"]) == (str(path), False)
    problem = {"path": "customProperties[0].value.newestby", "what": "unknown key"}
    assert problem.items() <= broken["problems"][0].items()
    assert (sound["sound"], sound["dataset"], sound["status"], sound["problems"]) == (True, "inventory", "active", [])


def test_describe_prints_markdown_or_lists_the_datasets() -> None:
    result = CliRunner().invoke(app, ["describe", "sales"])
    assert result.exit_code == 0
    assert result.output.startswith("# sales\n")
    missing = CliRunner().invoke(app, ["describe", "slaes"])
    assert missing.exit_code == 1
    assert missing.output.startswith(
        "error: there is no contract for 'slaes'; did you mean sales? datasets: activity, "
    )


def test_check_of_an_empty_directory_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.contracts.__main__.ingest_settings", lambda: IngestSettings(contracts_dir=tmp_path))
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 1
    assert f"no contract in {tmp_path}" in "".join(result.output.splitlines())
