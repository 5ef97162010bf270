"""Rejected rows: each is counted once, and none is a formula in a spreadsheet."""

import csv
from pathlib import Path

import pytest

from include.errors import Code
from include.ingestion.records import Reject, Rejects
from include.ingestion.rejects import HEADER, RejectFile

pytestmark = pytest.mark.unit


def reject(row: int, raw: str = "raw", column: str | None = "x", code: Code = Code.BAD_DATE) -> Reject:
    return Reject(row, row + 1, column, code, "A message.", raw)


def written(tmp_path: Path, rejects: list[Reject], keep: int = 10) -> tuple[Rejects, list[list[str]]]:
    path = tmp_path / "rejects.csv"
    with RejectFile(path, keep) as file:
        for one in rejects:
            file.add([one])
    with path.open(newline="") as stream:
        return file.rejects, list(csv.reader(stream))


def test_reject_file_counts_rows_and_lists_cells(tmp_path: Path) -> None:
    cells = [reject(1), reject(1, column="y", code=Code.TOO_LONG), reject(4)]
    rejects, lines = written(tmp_path, cells)
    assert rejects.rows == 2
    assert rejects.by_code == {Code.BAD_DATE: 2, Code.TOO_LONG: 1}
    assert lines[0] == list(HEADER)
    assert [line[:4] for line in lines[1:]] == [
        ["1", "2", "x", "bad-date"], ["1", "2", "y", "too-long"], ["4", "5", "x", "bad-date"]
    ]  # fmt: skip


def test_reject_file_has_the_line_ends_of_csv(tmp_path: Path) -> None:
    written(tmp_path, [reject(1)])
    assert (tmp_path / "rejects.csv").read_bytes().count(b"\r\n") == 2
    assert b"\r\r\n" not in (tmp_path / "rejects.csv").read_bytes()


def test_reject_file_keeps_all_cells_of_the_first_rows(tmp_path: Path) -> None:
    rejects, lines = written(tmp_path, [reject(1), reject(1), reject(2), reject(2), reject(3)], keep=2)
    assert [one.source_row for one in rejects.first] == [1, 1, 2, 2]
    assert (rejects.rows, len(lines)) == (3, 6)


@pytest.mark.parametrize("raw", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", "'=1"], ids=repr)
def test_reject_file_lets_no_spreadsheet_run_a_formula(tmp_path: Path, raw: str) -> None:
    _, lines = written(tmp_path, [reject(1, raw)])
    assert lines[1][-1] == "'" + raw


@pytest.mark.parametrize("raw", ["a,b", 'say "hi"', "two\nlines", "1-1", "é", ""], ids=repr)
def test_reject_file_gives_other_text_back_as_it_was(tmp_path: Path, raw: str) -> None:
    assert written(tmp_path, [reject(1, raw)])[1][1][-1] == raw


def test_reject_file_is_not_made_without_rejects(tmp_path: Path) -> None:
    with RejectFile(tmp_path / "rejects.csv", 10) as file:
        file.add([])
    assert file.rejects.path is None
    assert not (tmp_path / "rejects.csv").exists()
