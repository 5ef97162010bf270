"""The reference on the sheets of a workbook, checked with written cases."""

from dataclasses import replace
from pathlib import Path

import pytest

from include.contracts.dialect import Dialect
from include.contracts.model import Column, ColumnType, Contract
from include.errors import Code
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
