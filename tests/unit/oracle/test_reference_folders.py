"""The reference on columns that come from folders of a file's key, checked with written cases."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from include.contracts.model import Cleaning, Column, ColumnType, Contract, ErrorBudget
from include.errors import Code
from tests.oracle.judge import judge
from tests.oracle.table import Table
from tests.oracle.verdict import Counts

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.INTEGER, required=True)
DT = Column("dt", ColumnType.DATE, required=True, partition="dt")
REGION = Column("region", ColumnType.TEXT, partition="Region No", cleaning=(Cleaning.TRIM,))
THINGS = Contract(
    "things", "1", "", (ID, DT, REGION), ("id", "dt"), None, Path("things.yaml"), budget=ErrorBudget(share=1.0)
)


def test_reference_takes_values_from_folders() -> None:
    verdict = judge(THINGS, b"id\n1\n", "x=1/dt=2026-11-28/Region%20No=%20N%C3%B6rd%2FEast/a.csv")
    assert [dict(row.values) for row in verdict.rows] == [
        {"id": 1, "dt": date(2026, 11, 28), "region": "N\u00f6rd/East", "_rescued": None}
    ]


@pytest.mark.parametrize("value", ["", "__HIVE_DEFAULT_PARTITION__"])
def test_reference_has_null_for_no_value(value: str) -> None:
    (row,) = judge(THINGS, b"id\n1\n", f"dt=2026-11-28/Region No={value}/a.csv").rows
    assert row.values["region"] is None


BAD = {
    "no-day": "dt=2026-13-99/Region No=x/",
    "null-of-a-required-column": "dt=/Region No=x/",
    "missing": "dt=2026-11-28/",
    "other-case": "DT=2026-11-28/Region No=x/",
    "twice": "dt=2026-11-28/dt=2026-11-28/Region No=x/",
    "not-utf-8": "dt=2026-11-28/Region No=%ff/",
    "only-in-the-name": "Region No=x/dt=2026-11-28",
}


@pytest.mark.parametrize("folders", BAD.values(), ids=list(BAD))
def test_reference_refuses_a_folder(folders: str) -> None:
    assert judge(THINGS, b"id\n1\n", f"{folders}a.csv").code is Code.BAD_PARTITION


def test_equal_bytes_in_two_folders_are_two_files_of_the_reference() -> None:
    table = Table(replace(THINGS, key=("_file_id", "_source_row")))
    keys = ("dt=2026-11-28/Region No=x/a", "dt=2026-11-29/Region No=x/a", "dt=2026-11-28/Region No=%20x/a")
    outcomes = [table.apply(judge(table.contract, b"id\n1\n", key)) for key in keys]
    assert [outcome.counts for outcome in outcomes] == [Counts(1, 1)] * 3
    assert len(table.rows) == 3
