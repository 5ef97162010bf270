"""Derived columns in the table: each value as the expression gives it, for every type; other rows are refused."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from include.contracts.model import Column, ColumnType, ErrorBudget
from include.errors import Code
from include.ingestion.binary_copy import BinaryCopy
from include.ingestion.target import Target

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline

pytestmark = pytest.mark.integration

SOURCES = (
    Column("id", ColumnType.TEXT, required=True),
    Column("v", ColumnType.INTEGER),
    Column("n", ColumnType.NUMBER, precision=10, scale=4),
    Column("ts", ColumnType.TIMESTAMP),
)


def made(make_pipeline: MakePipeline, *derived: Column) -> Pipeline:
    return make_pipeline(
        columns=(*SOURCES, *derived), key=("id",), newest_by=None, row_rules=(), budget=ErrorBudget(rows=10)
    )


def derived(expression: str, kind: ColumnType, name: str = "x", **more: Any) -> Column:
    return Column(name, kind, derived=expression, **more)


def test_values_of_every_type_are_those_of_the_expression(make_pipeline: MakePipeline) -> None:
    pipeline = made(
        make_pipeline,
        derived("v / 2", ColumnType.INTEGER, "half"),
        derived("v::INTEGER", ColumnType.INTEGER, "narrow"),
        derived("v::HUGEINT * 10", ColumnType.INTEGER, "wide"),
        derived("v", ColumnType.FLOAT, "double"),
        derived("n", ColumnType.NUMBER, "money"),
        derived("date_trunc('month', ts)", ColumnType.DATE, "month"),
        derived("ts", ColumnType.TIMESTAMPTZ, "moment"),
        derived("v", ColumnType.TEXT, "text"),
        derived("[v]", ColumnType.JSON, "list"),
        derived("md5(id)", ColumnType.UUID, "hash"),
        derived("null", ColumnType.DATE, "none"),
    )

    pipeline.assert_archived(pipeline.send("1.csv", "id,v,n,ts\na,8,1.2300,2024-02-03T04:05:06\n"), inserted=1)

    (row,) = pipeline.rows()
    names = ("half", "narrow", "wide", "double", "money", "text", "list", "none")
    assert [row[name] for name in names] == [4, 8, 80, 8.0, Decimal("1.23"), "8", [8], None]
    shown = [str(row[name]) for name in ("month", "moment", "hash")]
    assert shown == ["2024-02-01", "2024-02-03 04:05:06+00:00", "0cc175b9-c0f1-b6a8-31c3-99e269772661"]


@pytest.mark.parametrize(
    "column",
    [
        derived("v / 2", ColumnType.INTEGER),
        derived("n / v", ColumnType.NUMBER),
        derived("n * v / 70", ColumnType.NUMBER),
        derived("ts + to_hours(v)", ColumnType.DATE),
        derived("id || chr((7 - v)::INTEGER)", ColumnType.TEXT),
        derived("pow(10, v * 50)", ColumnType.FLOAT),
        derived("time_bucket(to_days((7 - v)::INTEGER), ts)", ColumnType.TIMESTAMP),
    ],
    ids=lambda column: column.derived,
)
def test_row_without_a_value_of_the_type_is_refused_alone(make_pipeline: MakePipeline, column: Column) -> None:
    pipeline = made(make_pipeline, column)

    entry = pipeline.send("1.csv", "id,v,n,ts\na,7,1.2345,2024-02-03\nb,,,\n")

    pipeline.assert_archived(entry, inserted=1, rejected=1)
    (row,) = pipeline.rows()
    assert (row["id"], row["x"]) == ("b", None)


def test_bits_of_another_type_are_not_copied(make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """A defect of the pipeline is noted with the column, and nothing is loaded."""
    pipeline = made(make_pipeline)
    wrong = pa.schema([(name, pa.float64()) for name in ("id", "v", "n", "ts", "_rescued", "_source_row")])
    monkeypatch.setattr(Target, "arrow_schema", property(lambda _: wrong))

    entry = pipeline.send("1.csv", "id,v,n,ts\na,7,1.2345,2024-02-03\n")

    assert (entry["error_code"], "The column id would be copied as string" in entry["error_message"]) == (
        Code.INTERNAL, True,
    )  # fmt: skip


def test_bits_that_the_server_cannot_read_are_no_outage(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = made(make_pipeline)
    monkeypatch.setattr(BinaryCopy, "_check_types", lambda *_: None)
    monkeypatch.setattr(Target, "create_staging", _with_another_type)

    entry = pipeline.send("1.csv", "id,v,n,ts\na,7,1.2345,2024-02-03\n")

    assert entry["error_code"] == Code.WAREHOUSE_REFUSED


_create_staging = Target.create_staging


def _with_another_type(target: Target) -> Any:
    columns = (replace(c, type=ColumnType.BOOLEAN) if c.name == "v" else c for c in target.contract.columns)
    contract = replace(target.contract, columns=tuple(columns))
    return _create_staging(replace(target, contract=contract))
