"""`python -m include.samples` from the outside."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from include.samples.__main__ import app
from include.samples.badness import DESCRIPTIONS, BadKind

pytestmark = pytest.mark.unit


def test_command_writes_the_file_and_says_what_is_bad(tmp_path: Path) -> None:
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
        (["slaes"], "datasets: commits, events, inventory, issues, sales"),
        (["sales", "--bad", "wrong"], "'wrong' is no kind of badness"),
        (["sales", "--bad", "bad-uuid"], "this dataset cannot have bad-uuid"),
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
