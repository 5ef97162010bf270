"""The reference for JSON documents, checked with written cases: record paths, keys of records, paths of columns."""

from dataclasses import replace
from pathlib import Path

import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, Contract, ErrorBudget, UnknownColumns
from include.errors import Code
from tests.oracle.documents import Document
from tests.oracle.judge import judge

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.TEXT, required=True)
DEEP = Column("v", ColumnType.INTEGER, path="m.0.v")
THINGS = Contract("things", "1", "", (ID, DEEP), ("id",), None, Path("t.yaml"), budget=ErrorBudget(share=1.0))
DATA, KEYED, BOTH = Dialect("data"), Dialect(key_column="id"), Dialect("a.1", "id")
TWICE = Code.DUPLICATE_COLUMNS


@pytest.mark.parametrize(
    ("dialect", "body", "rows", "faults"),
    [
        (DATA, '{"x": [1],\n"data": [{"id": "a", "m": [{"v": 1}]},\n5]}', [("a", 1)], [(2, 3, Code.NOT_AN_OBJECT)]),
        (DATA, '{"data": {"id": "a"}}\n{"data": [{"id": "b"}]}', [("a", None), ("b", None)], []),
        (KEYED, '{"a": {}, "b": {"id": "b", "m": [{"v": "2"}]}}', [("a", None), ("b", 2)], []),
        (KEYED, '{"a": {},\n"a": {}, "c": {"ID": "d"}}', [], [(1, 1, TWICE), (2, 2, TWICE), (3, 2, TWICE)]),
        (BOTH, '{"a": [0, {"k": {"m": []}}]}', [("k", None)], []),
        (Dialect(), '{"id": "a", "m": {"0": {"v": 3}}}\n{"id": "b", "m": 1}\n', [("a", 3), ("b", None)], []),
    ],
    ids=["path", "documents", "keys", "keys twice", "both", "lines"],
)
def test_reference_finds_records_and_paths(
    dialect: Dialect, body: str, rows: list[tuple[str, int | None]], faults: list[tuple[int, int, Code]]
) -> None:
    verdict = judge(replace(THINGS, dialect=dialect), body.encode())
    assert [(row.values["id"], row.values["v"]) for row in verdict.rows] == rows
    assert [(fault.source_row, fault.source_line, fault.code) for fault in verdict.faults] == faults


@pytest.mark.parametrize(
    ("dialect", "body", "code"),
    [
        (DATA, '{"date": []}', Code.MISSING_RECORD_PATH),
        (DATA, '{"data": 5}', Code.MISSING_RECORD_PATH),
        (KEYED, "[]", Code.MISSING_RECORD_PATH),
        (DATA, '{"data": 5, "data": []}', TWICE),
        (DATA, '{"data": []}', Code.NO_ROWS),
        (DATA, '{"data": [{"id": "a"}], "n": NaN}', Code.UNREADABLE_FILE),
        (DATA, '{"data": [{"id": "a"}]', Code.TRUNCATED_FILE),
        (Dialect(), '{"v": 1}', Code.MISSING_COLUMNS),
    ],
)
def test_reference_refuses_documents(dialect: Dialect, body: str, code: Code) -> None:
    assert judge(replace(THINGS, dialect=dialect), body.encode()).code is code


@pytest.mark.parametrize("mode", UnknownColumns)
def test_reference_keeps_what_paths_leave(mode: UnknownColumns) -> None:
    body = b'{"id": "a", "m": [{"v": 1, "w": [2]}, null]}\n{"id": "b", "m": [{"v": 1}, null]}\n'
    verdict = judge(replace(THINGS, unknown_columns=mode), body)
    keeps = mode in {UnknownColumns.RESCUE, UnknownColumns.EVOLVE}
    left = Document.of_text('{"m": [{"w": [2]}, null]}') if keeps else None
    assert [row.values["_rescued"] for row in verdict.rows] == [left, None]
