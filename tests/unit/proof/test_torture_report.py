"""Sums over the faults of a torture run, and rows in their comparable form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest

from include.contracts.reader import read_contract
from include.settings import CONTRACTS_DIR
from proof.torture.expectation import from_warehouse, merge, row_of
from proof.torture.faults import FaultResult
from proof.torture.report import KindSummary, by_kind, longest_silence
from proof.torture.schedule import Kind
from tests.oracle.documents import Document

pytestmark = pytest.mark.unit


def done(kind: Kind, at: float, *, tried: bool = True) -> FaultResult:
    return FaultResult(1, kind, at, 0.1, "any", "any", tried)


def test_by_kind_measures_from_the_fault_to_the_next_load() -> None:
    faults = [done(Kind.KILL_S3, 10), done(Kind.KILL_S3, 20), done(Kind.FILL_DISK, 5, tried=False)]
    assert by_kind(faults, [9.0, 13.0, 27.0]) == [
        KindSummary(Kind.KILL_S3, 2, 2, median=5.0, slowest=7.0),
        KindSummary(Kind.FILL_DISK, 1, 0, median=None, slowest=None),
    ]


def test_by_kind_has_no_time_for_a_fault_without_a_later_load() -> None:
    assert by_kind([done(Kind.KILL_S3, 10)], [9.0]) == [KindSummary(Kind.KILL_S3, 1, 1, median=None, slowest=None)]


@pytest.mark.parametrize(
    ("loads", "seconds"),
    [([], 90.0), ([5.0, 200.0], 90.0), ([20.0, 30.0, 95.0], 65.0), ([12.0, 14.0], 86.0)],
    ids=["none", "before and after", "in between", "in the beginning"],
)
def test_longest_silence_is_between_the_first_fault_and_the_last(loads: list[float], seconds: float) -> None:
    assert longest_silence([done(Kind.KILL_S3, 10), done(Kind.KILL_S3, 50), done(Kind.KILL_S3, 100)], loads) == seconds
    assert longest_silence([], loads) == 0.0


INVENTORY = read_contract(CONTRACTS_DIR / "inventory.yaml")


def row(**changes: object) -> dict[str, object]:
    values: dict[str, object] = dict.fromkeys(column.name for column in INVENTORY.columns)
    values |= {"warehouse_code": "WH-001", "sku": "ABC-00001", "last_moved_at": datetime(2026, 1, 1)}  # noqa: DTZ001
    return values | {"_rescued": None, "unit_weight_kg": 1.5} | changes


@pytest.mark.parametrize(
    "change",
    [{"unit_weight_kg": 1.25}, {"is_active": False}, {"attributes": Document.of_text('{"a": 2}')}, {"_rescued": "1"}],
    ids=lambda change: next(iter(change)),
)
def test_row_of_differs_for_each_changed_value(change: dict[str, object]) -> None:
    assert row_of(INVENTORY, row())[1] != row_of(INVENTORY, row(**change))[1]


def test_row_of_is_equal_for_equal_documents() -> None:
    one = row(attributes=Document.of_text('{"a": 1.0, "b": [1, 2]}'))
    other = from_warehouse(INVENTORY, row(attributes='{"b": [1, 2], "a": 1}'))
    assert row_of(INVENTORY, one) == row_of(INVENTORY, other)


def test_row_of_compares_instants_independent_of_time_zones() -> None:
    sales = read_contract(CONTRACTS_DIR / "sales.yaml")
    values: dict[str, object] = dict.fromkeys(column.name for column in sales.columns) | {"_rescued": None}
    berlin = datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))
    one = values | {"updated_at": berlin, "unit_price": Decimal("1.50")}
    other = values | {"updated_at": datetime(2026, 1, 1, tzinfo=UTC), "unit_price": Decimal("1.5")}
    assert row_of(sales, one) == row_of(sales, other)


def test_merge_keeps_the_newest_row_of_each_key() -> None:
    early, late = (datetime(2026, 1, 1, tzinfo=UTC), "early"), (datetime(2026, 1, 2, tzinfo=UTC), "late")
    rows = {("a",): late, ("b",): early}
    merge(rows, {("a",): early, ("b",): late, ("c",): early})
    assert rows == {("a",): late, ("b",): late, ("c",): early}
