"""`python -m include.contracts` from the outside."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.contracts.__main__ import app
from include.settings import CONTRACTS_DIR

pytestmark = pytest.mark.unit


def test_check_is_content_with_the_shipped_contracts() -> None:
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 0, result.output
    assert result.output.count("sound ") == len(list(CONTRACTS_DIR.glob("*.yaml")))
    assert re.search(r"sales\.yaml\s+\(\d+ columns, key sale_id, \d+ row rules, \d+ checks\)", result.output)


def test_check_names_what_is_broken_and_fails(tmp_path: Path) -> None:
    path = tmp_path / "sales.yaml"
    path.write_text((CONTRACTS_DIR / "sales.yaml").read_text().replace("newestBy", "newestby"))
    result = CliRunner().invoke(app, ["check", str(path), str(CONTRACTS_DIR / "inventory.yaml")])
    assert result.exit_code == 1
    assert f"BROKEN  {path}" in result.output
    assert "customProperties[0].value.newestby: unknown key. Remedy: write 'newestBy'" in result.output
    assert "sound   " in result.output


def test_describe_prints_markdown_or_says_which_datasets_there_are() -> None:
    result = CliRunner().invoke(app, ["describe", "sales"])
    assert result.exit_code == 0
    assert result.output.startswith("# sales\n")
    missing = CliRunner().invoke(app, ["describe", "slaes"])
    assert missing.exit_code == 1
    assert "datasets: commits, events, inventory, issues, sales" in missing.output


def test_draft_writes_a_sound_contract_and_never_overwrites(tmp_path: Path) -> None:
    sample, out = tmp_path / "sample.csv", tmp_path / "things.yaml"
    sample.write_text("id,name\n1,a\n2,b\n")
    arguments = ["draft", str(sample), "--name", "things", "--out", str(out)]
    drafted = CliRunner().invoke(app, arguments)
    assert drafted.exit_code == 0
    assert f"python -m include.contracts check {out}" in "".join(drafted.output.splitlines())
    assert CliRunner().invoke(app, ["check", str(out)]).exit_code == 0
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "exists already" in again.output


@pytest.mark.parametrize("name", ["Things", "../things"])
def test_draft_refuses_a_name_that_is_none(tmp_path: Path, name: str) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("id\n1\n")
    result = CliRunner().invoke(app, ["draft", str(sample), "--name", name, "--out", str(tmp_path / "out.yaml")])
    assert result.exit_code == 1
    assert "no dataset name" in result.output
    assert not (tmp_path / "out.yaml").exists()
