"""The reference on the sheets of a workbook, checked with written cases."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, Contract, ErrorBudget
from include.errors import Code
from tests.oracle.documents import Document
from tests.oracle.judge import judge
from tests.workbook_files import sheet_xml, xlsx

pytestmark = pytest.mark.unit

THINGS = Contract(
    "things", "1", "", (Column("id", ColumnType.INTEGER, required=True),), ("id",), None, Path("things.yaml")
)
SHEETS = {name: sheet_xml([["id"], [at]]) for at, name in enumerate(("North", "Größe"), 1)}


@pytest.mark.parametrize(
    ("wanted", "hidden", "found"),
    [
        pytest.param("North", [], 1, id="named"),
        pytest.param("GRÖSSE", [], 2, id="in-other-case"),
        pytest.param("North", ["North"], 1, id="named-and-hidden"),
        pytest.param("West", [], Code.UNCLEAR_SHEET, id="missing"),
        pytest.param(None, ["North"], 2, id="the-only-visible-one"),
        pytest.param(None, [], Code.UNCLEAR_SHEET, id="several-visible-ones"),
        pytest.param(None, ["North", "Größe"], Code.UNCLEAR_SHEET, id="all-hidden"),
    ],
)
def test_reference_takes_one_sheet(wanted: str | None, hidden: list[str], found: int | Code) -> None:
    verdict = judge(replace(THINGS, dialect=Dialect(sheet=wanted)), xlsx(SHEETS, hidden=hidden))
    assert (verdict.code or verdict.rows[0].values["id"]) == found


@pytest.mark.parametrize(
    ("cell", "expected"), [(date(2026, 3, 2), Document.of_text('"2026-03-02"')), ("2026-03-02", None)],
    ids=["date", "text"],
)  # fmt: skip
def test_reference_reads_a_date_in_a_json_column_as_its_text(cell: object, expected: Document | None) -> None:
    contract = replace(THINGS, columns=(*THINGS.columns, Column("n", ColumnType.JSON)), budget=ErrorBudget(share=1.0))
    rows = judge(contract, xlsx({"North": sheet_xml([["id", "n"], [1, cell], [2, "{}"]])})).rows
    assert [row.values["n"] for row in rows if row.values["id"] == 1] == ([expected] if expected else [])
