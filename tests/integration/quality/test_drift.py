"""The comparison of distributions in the warehouse, against an independent one with NumPy on the same rows."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pytest

from include.contracts.drift import Drift
from include.contracts.model import Column, ColumnType, Contract, Severity
from include.quality.check import CheckedStores, inspect_warehouse
from include.quality.drift import ColumnDrift, DriftKind, DriftStatus, judge_drift, measure, window_end
from include.quality.results import purge_results
from include.quality.table_stats import TableStats, UnreadableTableError
from include.settings import QualitySettings
from include.stores.warehouse import connect

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

DATASET = "drift_work"
VALUES = ("pieces", "price", "score", "kind", "is_open")
TIMES = ("at", "local_at", "day")
WORK = Contract(
    dataset=DATASET,
    version="1.0.0",
    description="",
    columns=(
        Column("id", ColumnType.INTEGER, required=True),
        Column("at", ColumnType.TIMESTAMPTZ),
        Column("local_at", ColumnType.TIMESTAMP),
        Column("day", ColumnType.DATE),
        Column("pieces", ColumnType.INTEGER),
        Column("price", ColumnType.NUMBER, precision=10, scale=2),
        Column("score", ColumnType.FLOAT),
        Column("kind", ColumnType.TEXT),
        Column("is_open", ColumnType.BOOLEAN),
    ),
    key=("id",),
    newest_by=None,
    path=Path("drift_work.yaml"),
    drift=Drift("at", VALUES),
)
NAMES = [column.name for column in WORK.columns]
END = datetime(2026, 3, 31, tzinfo=UTC)
NOW = END + timedelta(hours=17)
MIDDLE, FIRST = END - timedelta(days=7), END - timedelta(days=35)
MICROSECOND = timedelta(microseconds=1)
Row = dict[str, Any]


@contextmanager
def connected(platform: Platform, role: str) -> Iterator[psycopg.Connection[Any]]:
    with connect(platform.warehouse_config(role)) as connection:
        yield connection


@pytest.fixture(scope="module")
def owner(platform: Platform) -> Iterator[psycopg.Connection[Any]]:
    with connected(platform, "owner") as connection:
        yield connection


@pytest.fixture
def table(owner: psycopg.Connection[Any]) -> Iterator[str]:
    columns = [{"name": c.name, "type": c.postgres_type, "required": c.required} for c in WORK.columns]
    owner.execute("SELECT ops.ensure_dataset(%s, %s::jsonb, %s)", [DATASET, json.dumps(columns), list(WORK.key)])
    yield f"raw.{DATASET}"
    owner.execute(f"DROP TABLE raw.{DATASET}")
    owner.execute("DELETE FROM ops.drift_result WHERE dataset = %s", [DATASET])
    owner.execute("DELETE FROM ops.quality_result WHERE dataset = %s", [DATASET])


@pytest.fixture
def stats(platform: Platform) -> Iterator[TableStats]:
    with connected(platform, "transform") as connection:
        yield TableStats(connection)


def load(owner: psycopg.Connection[Any], rows: list[Row]) -> None:
    owner.execute(f"TRUNCATE raw.{DATASET}")
    with owner.cursor() as cursor, cursor.copy(
        f"COPY raw.{DATASET} (_file_id, _source_row, _loaded_at, {', '.join(NAMES)}) FROM STDIN"
    ) as copy:  # fmt: skip
        for number, row in enumerate(rows):
            copy.write_row((1, number, NOW, number, *(row.get(name) for name in NAMES[1:])))


def row_at(at: datetime, **values: Any) -> Row:
    return {"at": at, "local_at": at.replace(tzinfo=None), "day": at.date()} | values


def rows_of(at: datetime, *kinds: str | None) -> list[Row]:
    return [row_at(at, kind=kind) for kind in kinds]


# The independent computation.


def windows(rows: list[Row], time: str, column: str) -> tuple[list[Any], list[Any]]:
    """The values of the reference and of the current rows."""

    def between(first: datetime, last: datetime) -> list[Any]:
        bounds: tuple[Any, Any] = (first, last)
        if time == "local_at":
            bounds = (first.replace(tzinfo=None), last.replace(tzinfo=None))
        elif time == "day":
            bounds = (first.date(), last.date())
        return [row[column] for row in rows if bounds[0] <= row[time] < bounds[1]]

    return between(FIRST, MIDDLE), between(MIDDLE, END)


def binned(values: list[Any], reference: list[Any], *, numbers: bool) -> list[str]:
    """The name of the bin of each value."""
    given = [value for value in reference if value is not None]
    if not numbers:
        known = set(given)
        return ["null" if v is None else f"={v}" if v in known else "unseen" for v in values]
    cuts = np.unique(np.quantile(np.array(given, dtype=float), np.arange(1, 10) / 10)) if given else np.array([])
    return ["null" if v is None else f"{int((cuts < float(v)).sum())}" for v in values]


def index(reference: list[Any], current: list[Any], *, numbers: bool) -> float:
    """The population stability index by NumPy."""
    before = binned(reference, reference, numbers=numbers)
    after = binned(current, reference, numbers=numbers)
    bins = sorted({*before, *after})
    r = np.maximum(np.array([before.count(one) for one in bins]) / len(before), 0.0001)
    a = np.maximum(np.array([after.count(one) for one in bins]) / len(after), 0.0001)
    return float(((a - r) * np.log(a / r)).sum())


def random_values(name: str, current: bool, rng: np.random.Generator, shape: dict[str, Any]) -> Any:
    """One value of a column, drawn from the column's shape: some are constant, some have few values or many nulls."""
    if rng.random() < shape["nulls"][int(current)]:
        return None
    form, shift = shape["form"], shape["shift"] if current else 0.0
    if name in {"kind", "is_open"}:
        if name == "is_open":
            return bool(rng.random() < 0.5 + shift / 8)
        letters = "A" if form == "constant" and not current else "ABCDEÄé "[: 3 + int(3 * abs(shift)) + 2 * current]
        return str(rng.choice(list(letters)))
    number = {
        "constant": 5.0 + (0 if rng.random() > 0.05 * current else shift),
        "few": float(rng.integers(0, 4)) + round(shift),
        "normal": rng.normal(100 + 10 * shift, 20),
        "long": rng.lognormal(2 + shift / 2, 1.5),
    }[form]
    if name == "pieces":
        return round(number)
    return Decimal(f"{number:.2f}") if name == "price" else number


def random_rows(seed: int) -> list[Row]:
    rng = np.random.default_rng(seed)
    forms = ("constant", "few", "normal", "long")
    shapes = {
        name: {
            "form": str(rng.choice(forms)),
            "shift": float(rng.choice([0, 0.2, 1, -1.5])),
            "nulls": [float(rng.choice([0, 0, 0.1, 0.9, 1.0])), float(rng.choice([0, 0, 0.1, 0.9, 1.0]))],
        }
        for name in VALUES
    }
    edges = [FIRST, FIRST - MICROSECOND, MIDDLE, MIDDLE - MICROSECOND, END, END - MICROSECOND]
    count = int(rng.integers(900, 4000))
    spread = timedelta(days=38) / timedelta(microseconds=1)
    moments = [FIRST - timedelta(days=1) + timedelta(microseconds=int(rng.random() * spread)) for _ in range(count)]
    return [
        row_at(at, **{name: random_values(name, at >= MIDDLE, rng, shapes[name]) for name in VALUES})
        for at in [*edges * 5, *moments]
    ]


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.usefixtures("table")
def test_index_equals_an_independent_one_on_random_rows(
    owner: psycopg.Connection[Any], stats: TableStats, seed: int
) -> None:
    rows = random_rows(seed)
    load(owner, rows)
    for time in TIMES:
        found = measure(replace(WORK, drift=Drift(time, VALUES)), NAMES, NOW, stats, "raw")
        assert [drift.column for drift in found] == list(VALUES)
        for drift in found:
            reference, current = windows(rows, time, drift.column)
            assert min(len(reference), len(current)) >= 100
            assert (drift.reference_rows, drift.current_rows) == (len(reference), len(current))
            expected = index(reference, current, numbers=drift.kind.value == "number")
            assert drift.psi == pytest.approx(expected, rel=1e-9, abs=1e-12), (time, drift.column)


def test_computed_by_hand(table: str, owner: psycopg.Connection[Any], stats: TableStats) -> None:
    """Reference: 50 a, 50 b. Current: 50 a, 30 c and 20 d, which are unseen, so b has no row."""
    assert table
    load(
        owner,
        [
            *rows_of(MIDDLE - MICROSECOND, *["a"] * 50, *["b"] * 50),
            *rows_of(MIDDLE, *["a"] * 50, *["c"] * 30, *["d"] * 20),
            *rows_of(END, *["b"] * 500),
            *rows_of(FIRST - MICROSECOND, *["d"] * 500),
        ],
    )
    [drift] = measure(replace(WORK, drift=Drift("at", ("kind",))), NAMES, NOW, stats, "raw")
    by_hand = (0.0001 - 0.5) * np.log(0.0001 / 0.5) + (0.5 - 0.0001) * np.log(0.5 / 0.0001)
    assert (drift.reference_rows, drift.current_rows, drift.status) == (100, 100, DriftStatus.ERROR)
    assert drift.psi == pytest.approx(float(by_hand), rel=1e-12)


@pytest.mark.parametrize(("before", "after"), [(99, 100), (100, 99), (0, 0), (100, 0)])
@pytest.mark.usefixtures("table")
def test_fewer_than_100_rows_are_skipped(
    owner: psycopg.Connection[Any], stats: TableStats, before: int, after: int
) -> None:
    load(owner, [*rows_of(FIRST, *["a"] * before), *rows_of(MIDDLE, *["b"] * after)])
    found = measure(WORK, NAMES, NOW, stats, "raw")
    assert {(d.reference_rows, d.current_rows, d.psi, d.status) for d in found} == {
        (before, after, None, DriftStatus.SKIPPED)
    }
    results = list(judge_drift(WORK, found, "raw"))
    assert {(result.severity, result.success) for result in results} == {(Severity.INFO, True)}


def test_columns_that_the_table_does_not_have_yet_are_left_out(table: str, stats: TableStats) -> None:
    assert table
    assert [d.column for d in measure(WORK, ["at", "kind"], NOW, stats, "raw")] == ["kind"]
    assert measure(WORK, ["kind"], NOW, stats, "raw") == []
    assert measure(replace(WORK, drift=None), NAMES, NOW, stats, "raw") == []


def test_window_ends_at_the_beginning_of_the_day_in_utc() -> None:
    ahead = datetime.fromisoformat("2026-03-31T01:30:00+02:00")
    assert window_end(ahead) == END - timedelta(days=1)
    assert window_end(END) == END
    assert window_end(END - MICROSECOND) == END - timedelta(days=1)


@pytest.mark.parametrize(
    ("psi", "status", "severity", "success"),
    [
        (0.0, "ok", Severity.WARNING, True),
        (0.0999, "ok", Severity.WARNING, True),
        (0.1, "warning", Severity.WARNING, False),
        (0.2499, "warning", Severity.WARNING, False),
        (0.25, "error", Severity.CRITICAL, False),
        (None, "skipped", Severity.INFO, True),
    ],
)
def test_limits(psi: float | None, status: str, severity: Severity, success: bool) -> None:
    drift = ColumnDrift("kind", DriftKind.CATEGORY, END, 200, 100, psi)
    [result] = judge_drift(WORK, [drift], "raw")
    assert (drift.status.value, result.severity, result.success) == (status, severity, success)


@pytest.mark.usefixtures("table")
def test_locked_table_is_unreadable(platform: Platform, owner: psycopg.Connection[Any]) -> None:
    config = platform.warehouse_config("transform").model_copy(update={"lock_timeout": 1})
    with connect(config) as connection, owner.transaction():
        owner.execute(f"LOCK TABLE raw.{DATASET} IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(UnreadableTableError):
            measure(WORK, NAMES, NOW, TableStats(connection), "raw")


@pytest.mark.usefixtures("table")
def test_remedy_shows_the_windows(owner: psycopg.Connection[Any], stats: TableStats) -> None:
    load(owner, [*rows_of(FIRST, *["a"] * 100), *rows_of(MIDDLE, *["b"] * 100)])
    results = {result.column: result for result in judge_drift(WORK, measure(WORK, NAMES, NOW, stats, "raw"), "raw")}
    assert owner.execute(results["kind"].remedy.encode()).fetchall() == [("b", 0, 100), ("a", 100, 0)]
    assert [row[:2] for row in owner.execute(results["price"].remedy.encode()).fetchall()] == [
        (False, 100),
        (True, 100),
    ]


def test_check_stores_results_and_purges_old_ones(
    platform: Platform, table: str, owner: psycopg.Connection[Any]
) -> None:
    assert table
    today = window_end(datetime.now(UTC))
    load(
        owner,
        [
            *rows_of(today - timedelta(days=8), *["a"] * 300, *["b"] * 100),
            *rows_of(today - timedelta(days=1), *["a"] * 100, *["b"] * 100),
        ],
    )
    contract = replace(WORK, drift=Drift("at", ("kind", "pieces")))
    warehouse = platform.warehouse_config("transform")
    checked = inspect_warehouse([contract], CheckedStores(warehouse), QualitySettings())
    [report] = checked.reports
    psi = index(["a"] * 300 + ["b"] * 100, ["a", "b"] * 100, numbers=False)
    stored = owner.execute(
        "SELECT checked_at, column_name, kind, window_end, reference_rows, current_rows, psi, status"
        " FROM ops.drift_result WHERE dataset = %s ORDER BY result_id",
        [DATASET],
    ).fetchall()
    assert stored == [
        (report.checked_at, "kind", "category", today, 400, 200, pytest.approx(psi), "error"),
        (report.checked_at, "pieces", "number", today, 400, 200, 0.0, "ok"),
    ]
    assert ("distribution_is_stable", "kind", "critical") in owner.execute(
        "SELECT expectation, column_name, severity FROM ops.quality_result WHERE dataset = %s AND NOT success",
        [DATASET],
    ).fetchall()
    owner.execute("UPDATE ops.drift_result SET checked_at = now() - interval '91 days' WHERE column_name = 'kind'")
    with connected(platform, "transform") as connection:
        purge_results(connection, 90)
    assert owner.execute("SELECT column_name FROM ops.drift_result").fetchall() == [("pieces",)]


@pytest.mark.parametrize("role", ["ingest", "transform", "reader"])
def test_rights_of_the_results(platform: Platform, role: str) -> None:
    refused = psycopg.errors.InsufficientPrivilege
    with connected(platform, role) as connection:
        for statement in ("DELETE FROM ops.drift_result", "UPDATE ops.drift_result SET psi = 0"):
            with pytest.raises(refused):
                connection.execute(statement)
        if role == "transform":
            with pytest.raises(psycopg.errors.RaiseException, match="not a number of days: 0"):
                connection.execute("SELECT ops.purge_drift_results(0)")
            return
        for statement in (
            "INSERT INTO ops.drift_result (dataset) VALUES ('x')",
            "SELECT ops.purge_drift_results(90)",
            *(["SELECT 1 FROM ops.drift_result"] if role == "ingest" else []),
        ):
            with pytest.raises(refused):
                connection.execute(statement)
