"""Validation of some rows of a file, by their numbers, and reading the numbers from a reject file."""

from __future__ import annotations

from array import array
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, ErrorBudget
from include.errors import Code
from include.ingestion import replay
from include.ingestion import validate as stage_one
from include.ingestion.attempt import Attempt
from include.ingestion.fetch import copy_local
from include.ingestion.records import FileRefusedError, Reject, ReplayedRows, Validated
from include.ingestion.rejects import RejectFile, read_reject_file
from include.ingestion.trial.dry_run import DryRunStores
from include.settings import IngestSettings
from tests.unit.ingestion.conftest import entry_of, make_contract
from tests.workbook_files import table

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

pytestmark = pytest.mark.unit

CONTRACT = make_contract(
    Column("id", ColumnType.TEXT, required=True), Column("n", ColumnType.INTEGER), budget=ErrorBudget()
)
LINES = ["a,1", "b,x", "c,3", "d,4", "e,y", "f,6"]
GOOD = ["a,1", "b,2", "c,3", "d,4", "e,5", "f,6"]


def csv(lines: list[str]) -> bytes:
    return ("id,n\n" + "".join(f"{line}\n" for line in lines)).encode()


def validated(
    folder: Path, content: bytes, texts: Mapping[int, str], numbers: list[int] | None = None, contract: Any = CONTRACT
) -> Validated:
    path = folder / "archived"
    path.write_bytes(content)
    work = folder / "work"
    work.mkdir()
    attempt = Attempt(contract, entry_of(contract, path), work, IngestSettings(), DryRunStores())
    rows = ReplayedRows(12, np.array(numbers or sorted(texts), dtype=np.int64), dict(texts))
    return stage_one.validate(attempt, replace(copy_local(path, work, attempt.settings), replayed=rows))


def rows_of(result: Validated) -> list[tuple[int, str, int]]:
    return [(row["_source_row"], row["id"], row["n"]) for row in pq.read_table(result.path).to_pylist()]


def test_only_the_numbered_rows_are_read_on_the_fast_path(tmp_path: Path) -> None:
    result = validated(tmp_path, csv(GOOD), {2: "b,2", 5: "e,5"})
    assert result.path_taken == "fast"
    assert (result.rows_read, result.rejects.rows) == (2, 0)
    assert rows_of(result) == [(2, "b", 2), (5, "e", 5)]


def test_only_the_numbered_rows_are_read_and_refused_on_the_slow_path(tmp_path: Path) -> None:
    result = validated(tmp_path, csv(LINES), {2: "b,x", 4: "d,4"})
    assert result.path_taken == "slow"
    assert (result.rows_read, result.rejects.rows) == (2, 1)
    assert rows_of(result) == [(4, "d", 4)]
    assert [(one.source_row, one.source_line, one.value) for one in result.rejects.first] == [(2, 3, "x")]
    assert result.rejects.by_code == {Code.BAD_INTEGER: 1}


def test_no_error_budget_is_asked_of_a_replay(tmp_path: Path) -> None:
    assert not CONTRACT.budget.allows(1, 2)
    assert validated(tmp_path, csv(LINES), {2: "b,x", 4: "d,4"}).rejects.rows == 1


def test_replay_without_a_good_row_is_refused_with_its_rejects(tmp_path: Path) -> None:
    with pytest.raises(FileRefusedError) as caught:
        validated(tmp_path, csv(LINES), {2: "b,x", 5: "e,y"})
    assert caught.value.code is Code.REPLAY_IMPOSSIBLE
    assert caught.value.message.startswith("Each of the 2 replayed rows is still refused. First: 'x' is not a whole")
    assert (caught.value.rows_read, caught.value.rejects.rows) == (2, 2)


@pytest.mark.parametrize(
    ("texts", "numbers"),
    [({2: "b,x", 7: "g,7"}, None), ({2: "a,1", 4: "d,4"}, None), ({2: "b,2"}, [2, 9])],
    ids=["no such row", "another text", "no such row behind the compared ones"],
)
def test_rows_that_are_others_now_are_refused(tmp_path: Path, texts: dict[int, str], numbers: list[int] | None) -> None:
    with pytest.raises(FileRefusedError) as caught:
        validated(tmp_path, csv(GOOD if numbers else LINES), texts, numbers)
    assert caught.value.code is Code.REPLAY_IMPOSSIBLE
    assert "The rows of file 12 have other numbers now" in caught.value.message
    assert "filegate reload things --file 12" in caught.value.remedy


def test_a_repeated_key_among_other_rows_does_not_matter(tmp_path: Path) -> None:
    result = validated(tmp_path, csv(["a,1", "a,2", "b,3"]), {2: "a,2"})
    assert rows_of(result) == [(2, "a", 2)]


@pytest.mark.parametrize("before", [0, 9_950, 9_975, 9_980, 20_000])
def test_rows_of_a_workbook_with_bad_cells_are_replayed(tmp_path: Path, stages, before: int) -> None:
    """Wherever the text of the row is cut: the marks of bad cells are not part of it."""
    columns = (Column("id", ColumnType.TEXT, required=True), Column("t", ColumnType.TEXT), Column("d", ColumnType.DATE))
    content = table([["id", "t", "d"], ["a", "x" * before, 20260102], ["b", "y", "2026-01-03"]])
    first = stages.validate(make_contract(*columns), content)
    assert [(one.source_row, one.code) for one in first.rejects.first] == [(1, Code.BAD_DATE)]
    corrected = make_contract(*columns[:2], replace(columns[2], formats=("%Y%m%d",)))
    result = validated(tmp_path, content, {1: first.rejects.first[0].raw}, contract=corrected)
    assert (result.rows_read, result.rejects.rows) == (1, 0)


@pytest.mark.parametrize(
    ("cells", "dialect"),
    [
        (["a", "n/a", "2"], Dialect(null_values=("n/a",))),
        (["a", "1,5", 2.5], Dialect(decimal=",")),
        (["a", "1.000,5", 1.5], Dialect(decimal=",", thousands=".")),
    ],
)
def test_rows_of_a_workbook_are_replayed_after_its_dialect_was_corrected(
    tmp_path: Path, stages, cells: list[Any], dialect: Dialect
) -> None:
    number = Column("n", ColumnType.NUMBER, precision=10, scale=2)
    columns = (Column("id", ColumnType.TEXT, required=True), number, replace(number, name="m"))
    content = table([["id", "n", "m"], cells, ["b", 1, 2]])
    first = stages.validate(make_contract(*columns), content)
    assert [(one.source_row, one.code) for one in first.rejects.first] == [(1, Code.BAD_NUMBER)]
    corrected = replace(make_contract(*columns), dialect=dialect)
    result = validated(tmp_path, content, {1: first.rejects.first[0].raw}, contract=corrected)
    assert (result.rows_read, result.rejects.rows) == (1, 0)


@pytest.mark.parametrize("raw", ['{"id":"c","n":"x"}', '{"id":null,"n":null}', '{"id":"a","m":"x"}', "[]", "{", "a"])
def test_another_row_of_a_workbook_is_refused(tmp_path: Path, raw: str) -> None:
    with pytest.raises(FileRefusedError) as caught:
        validated(tmp_path, table([["id", "n"], ["a", "x"], ["b", "2"]]), {1: raw})
    assert caught.value.code is Code.REPLAY_IMPOSSIBLE


def test_rows_of_parquet_are_compared_too(tmp_path: Path) -> None:
    path = tmp_path / "file.parquet"
    pq.write_table(pa.table({"id": ["a", "b", "c"], "n": ["1", "x", "3"]}), path)
    first = validated(tmp_path, path.read_bytes(), {3: '{"id":"c","n":"3"}'})
    assert rows_of(first) == [(3, "c", 3)]


# --- the list


@pytest.mark.parametrize("raw", ["b,x", "=b,x", "'b,x", "'=b", '"b\n",x', "\tb,1", ""])
def test_reject_file_gives_back_the_numbers_and_texts_that_it_was_given(tmp_path: Path, raw: str) -> None:
    path = tmp_path / "rejects.csv"
    with RejectFile(path, 10) as file:
        for row in (2, 2, 5):
            file.add([Reject(row, row + 1, "n", Code.BAD_INTEGER, "No.", raw)])
    assert list(read_reject_file(path)) == [(2, raw), (2, raw), (5, raw)]


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "source_row\n1\n"])
def test_what_is_no_reject_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "rejects.csv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match="rejects"):
        list(read_reject_file(path))


def listed(reasons: list[tuple[int, str]]) -> tuple[list[int], dict[int, str]]:
    numbers: Any = array("q")
    texts: dict[int, str] = {}
    replay._add(reasons, numbers, texts)
    return list(numbers), texts


def test_a_row_with_two_reasons_is_one_row() -> None:
    assert listed([(1, "a"), (1, "a"), (4, "d")]) == ([1, 4], {1: "a", 4: "d"})


def test_rows_in_another_order_are_no_list() -> None:
    with pytest.raises(ValueError, match="3"):
        listed([(4, "d"), (3, "c")])


def test_few_texts_are_kept() -> None:
    numbers, texts = listed([(number, "x") for number in range(1, 1001)])
    assert (len(numbers), len(texts)) == (1000, replay._COMPARED)
