"""The command `filegate generate`."""

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.cli.samples import app
from include.samples.badness import DESCRIPTIONS, BadKind

pytestmark = pytest.mark.unit


def test_command_writes_the_file_and_reports_its_faults(tmp_path: Path) -> None:
    out = tmp_path / "x.csv"
    result = CliRunner().invoke(app, ["sales", "--rows", "100", "--bad", "bad-date:2,bom", "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert len(out.read_bytes().splitlines()) == 101
    assert "100 rows" in result.stdout
    assert result.stdout.count("column sale_date: bad-date (expect bad-date)") == 2
    assert "file: bom" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["slaes"], "datasets: activity, commits, crypto_candles, crypto_prices, github_events, inventory"),
        (["sales", "--bad", "wrong"], "'wrong' is no kind of badness"),
        (["sales", "--bad", "bad-uuid"], "this dataset cannot have bad-uuid"),
        (["sales", "--bad", "bad-date:999999999999"], "999,999,999,999 bad rows do not fit into 10,000 rows"),
        (["sales", "--bad", f"bad-date:{'9' * 30}"], "is no count in"),
        (["sales", "--bad", "bad-date:\u00b2"], "is no count in"),
        (["sales", "--rows", "5", "--version", "99999999999"], "version from 0 to 100,000"),
    ],
)
def test_command_refuses_in_one_line(tmp_path: Path, arguments: list[str], message: str) -> None:
    out = tmp_path / "x.csv"
    result = CliRunner().invoke(app, [*arguments, "--out", str(out)])
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output
    assert not out.exists()


def test_list_names_every_kind() -> None:
    result = CliRunner().invoke(app, ["--list-bad"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert set(DESCRIPTIONS) == set(BadKind)
    for kind in BadKind:
        assert kind in result.stdout


def test_list_of_kinds_is_there_as_json() -> None:
    result = CliRunner().invoke(app, ["--list-bad", "--json"])
    assert result.exit_code == 0
    found = {row["kind"]: row for row in json.loads(result.stdout)}
    assert set(found) == set(BadKind)
    assert found["bom"] == {"kind": "bom", "of": "file", "what_it_does": DESCRIPTIONS[BadKind.BOM]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "give a DATASET, or --list-bad", id="nothing"),
        pytest.param(["sales", "--json"], "--json is for --list-bad", id="json of a sample"),
    ],
)
def test_wrong_usage_ends_with_2(arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert (result.exit_code, result.output) == (2, f"error: {message}\n")


def test_command_names_the_path_that_it_cannot_write(tmp_path: Path) -> None:
    (tmp_path / "a_file").touch()
    result = CliRunner().invoke(app, ["sales", "--rows", "1", "--out", str(tmp_path / "a_file" / "x.csv")])
    assert result.exit_code == 1
    assert "cannot write " in result.output
    assert "a_file" in result.output


def test_command_does_not_overwrite_a_folder(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["sales", "--rows", "1", "--out", str(tmp_path)], env={"COLUMNS": "300"})
    assert result.exit_code == 2
    assert "is a folder; give the path of a file" in result.output


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_command_does_not_replace_a_device_or_pipe(tmp_path: Path, form: str) -> None:
    pipe = tmp_path / "x.csv"
    os.mkfifo(pipe)
    arguments = ["sales", "--rows", "1", "--format", form, "--out", str(pipe)]
    result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
    assert result.exit_code == 1
    assert "x.csv is no file; give the path of a new file" in result.output
    assert pipe.is_fifo()
