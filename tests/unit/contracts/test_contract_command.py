"""The command `python -m include.contracts`."""

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


def test_describe_prints_markdown_or_lists_the_datasets() -> None:
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
    assert f"filegate contract check {out}" in "".join(drafted.output.splitlines())
    assert CliRunner().invoke(app, ["check", str(out)]).exit_code == 0
    checked = CliRunner().invoke(app, ["check", str(out)])
    assert "status: draft: no DAG until it is `status: active`" in checked.output
    again = CliRunner().invoke(app, arguments)
    assert again.exit_code == 1
    assert "exists already" in again.output


@pytest.mark.parametrize("name", ["Things", "../things"])
def test_draft_refuses_an_invalid_name(tmp_path: Path, name: str) -> None:
    sample = tmp_path / "sample.csv"
    sample.write_text("id\n1\n")
    result = CliRunner().invoke(app, ["draft", str(sample), "--name", name, "--out", str(tmp_path / "out.yaml")])
    assert result.exit_code == 1
    assert "no dataset name" in result.output
    assert not (tmp_path / "out.yaml").exists()


def test_check_of_an_empty_directory_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("include.contracts.__main__.ingest_settings", lambda: IngestSettings(contracts_dir=tmp_path))
    result = CliRunner().invoke(app, ["check"])
    assert result.exit_code == 1
    assert f"no contract in {tmp_path}" in "".join(result.output.splitlines())


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param(None, "is not a file", id="nothing"),
        pytest.param(b"\x7fELF\x02\x01\x01\x00\x00\x00", "is a binary file", id="a program"),
        pytest.param(b"PK\x03\x04\x14\x00\x00\x00", "is a binary file", id="an archive"),
    ],
)
def test_draft_refuses_a_file_that_is_no_table(tmp_path: Path, content: bytes | None, reason: str) -> None:
    file = tmp_path / "given"
    if content is not None:
        file.write_bytes(content)
    result = CliRunner().invoke(app, ["draft", str(file), "--name", "x", "--out", str(tmp_path / "x.yaml")])
    assert result.exit_code == 1
    assert result.output == f"{file} {reason}; give a CSV, JSON, NDJSON or Parquet file\n"
    assert not (tmp_path / "x.yaml").exists()


@pytest.mark.parametrize("name", ["unknown", "github"])
def test_draft_refuses_a_reserved_name(tmp_path: Path, name: str) -> None:
    (tmp_path / "x.csv").write_text("id,v\n1,2\n")
    out = tmp_path / f"{name}.yaml"
    result = CliRunner().invoke(app, ["draft", str(tmp_path / "x.csv"), "--name", name, "--out", str(out)])
    assert result.exit_code == 1
    assert f"the name '{name}' is reserved" in result.output
    assert not out.exists()


def test_draft_names_the_path_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("id,v\n1,2\n")
    out = tmp_path / "x.csv" / "y.yaml"
    result = CliRunner().invoke(app, ["draft", str(tmp_path / "x.csv"), "--name", "y", "--out", str(out)])
    assert result.exit_code == 1
    assert f"cannot write {out}: " in result.output.replace("\n", "")
    assert "Traceback" not in result.output


def test_draft_refuses_a_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["draft", str(tmp_path), "--name", "x", "--out", str(tmp_path / "x.yaml")])
    assert result.exit_code == 1
    assert "is not a file" in result.output
