"""Values in PostgreSQL are those of the file, and rows that PostgreSQL would refuse are refused before the load."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

import psycopg
import pytest

from include.contracts.model import Column, ColumnType, ErrorBudget
from include.ingestion.readers.json_values import kept_by_jsonb
from tests import added_type

if TYPE_CHECKING:
    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

pytestmark = pytest.mark.integration

ID = Column("id", ColumnType.TEXT, required=True)
GENEROUS = ErrorBudget(share=1.0)


def pipeline_of(make_pipeline: MakePipeline, *columns: Column) -> Pipeline:
    return make_pipeline(columns=(ID, *columns), key=("id",), newest_by=None, row_rules=(), budget=GENEROUS)


def rejected(pipeline: Pipeline, entry: Row) -> list[tuple]:
    rows = pipeline.rejected(entry["file_id"])
    return [(row["source_row"], row["source_line"], row["column_name"], row["code"]) for row in rows]


def test_jsonb_keeps_the_numbers_of_the_file_exactly(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline, Column("n", ColumnType.JSON))
    entry = pipeline.send(
        "n.ndjson",
        '{"id":"a","n":{"x":0.1234567890123456789}}\n'
        '{"id":"b","n":{"x":12345678901234567890.12}}\n'
        '{"id":"c","n":[123.456e-789]}\n'
        '{"id":"d","n":1.10,"u":{"v":[98765432109876543210999.10]}}\n'
        '{"id":"e","n":[1e999999999]}\n'
        '{"id":"f","n":{"x":"a\\u0000"}}\n',
    )
    pipeline.assert_archived(entry, inserted=4, rejected=2)
    rows = pipeline.sql("SELECT id, n::text AS n, _rescued::text AS r FROM {table} ORDER BY id")
    assert [row["n"] for row in rows[:2]] == ['{"x": 0.1234567890123456789}', '{"x": 12345678901234567890.12}']
    assert Decimal(rows[2]["n"].strip("[]")) == Decimal("123.456e-789")
    assert (rows[3]["n"], rows[3]["r"]) == ("1.10", '{"u": {"v": [98765432109876543210999.10]}}')
    assert rejected(pipeline, entry) == [(5, 5, "n", "bad-json"), (6, 6, "n", "bad-json")]


def test_text_columns_get_the_characters_of_the_file(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline, Column("n", ColumnType.TEXT))
    entry = pipeline.send("n.json", '[{"id":"a","n":0.1234567890123456789},{"id":"b","n":1.10},{"id":"c","n":4.9e10}]')
    pipeline.assert_archived(entry, inserted=3)
    assert [row["n"] for row in pipeline.sql("SELECT n FROM {table} ORDER BY id")] == [
        "0.1234567890123456789", "1.10", "4.9e10",
    ]  # fmt: skip


def test_a_number_beyond_its_column_is_refused_alone(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline, Column("n", ColumnType.NUMBER, precision=12, scale=2))
    entry = pipeline.send(
        "n.csv", f"id,n\n1,1.23457E+12\n2,7\n3,1e999999999\n4,1e-999999999\n5,{'9' * 45}\n6,0.00123e4\n"
    )
    pipeline.assert_archived(entry, inserted=2, rejected=4)
    codes = ["out-of-range", "out-of-range", "too-many-decimals", "out-of-range"]
    assert rejected(pipeline, entry) == [
        (row, row + 1, "n", code) for row, code in zip((1, 3, 4, 5), codes, strict=True)
    ]
    found = pipeline.sql("SELECT id, n FROM {table} ORDER BY id")
    assert [(row["id"], row["n"]) for row in found] == [("2", Decimal("7.00")), ("6", Decimal("12.30"))]


def test_type_added_to_the_registry_is_loaded_and_its_bad_values_are_rejected(
    make_pipeline: MakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    added_type.register(monkeypatch)
    pipeline = pipeline_of(make_pipeline, Column("n", added_type.COUNTRY))
    pipeline.assert_archived(pipeline.send("1.csv", "id,n\na,DE\nb,\n"), inserted=2)
    entry = pipeline.send("2.csv", "id,n\nb,FR\nc,Germany\n")
    pipeline.assert_archived(entry, updated=1, rejected=1)
    assert rejected(pipeline, entry) == [(2, 3, "n", "pattern-mismatch")]
    assert [row["n"] for row in pipeline.sql("SELECT n FROM {table} ORDER BY id")] == ["DE", "FR"]


def test_duplicate_keys_are_refused_with_the_row(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline, Column("n", ColumnType.INTEGER), Column("v", ColumnType.JSON))
    entry = pipeline.send(
        "n.ndjson", '{"id":"1","n":1,"n":2,"v":{}}\n{"id":"2","n":2,"v":{"k":1,"k":2}}\n{"id":"3","n":3,"v":{"k":1}}\n'
    )
    pipeline.assert_archived(entry, inserted=1, rejected=2)
    assert rejected(pipeline, entry) == [(1, 1, None, "duplicate-columns"), (2, 2, None, "duplicate-columns")]


def test_an_undeclared_encoding_is_refused_with_line_and_byte(make_pipeline: MakePipeline) -> None:
    pipeline = pipeline_of(make_pipeline, Column("n", ColumnType.TEXT))
    entry = pipeline.send("n.csv", "id,n\n1,Сергей\n".encode("cp1251"))
    assert (entry["status"], entry["error_code"]) == ("validation_failed", "undeclared-encoding")
    assert "0xd1 in line 2 (byte 8 of the text)" in entry["error_message"]


@pytest.mark.parametrize(
    "number",
    [
        "1e131071", "1e131072", "1e-16383", "1e-16384", "1.5e-16383", "0.1e-16382", "10e-16384", "0e131073", "0e-16384",
        "0e999999999", "0e1073741822", "0e1073741823", "0e1073741824", "0e9999999999", "1e2147483648",
        "9" * 131_072, "9" * 131_073,
        "0." + "0" * 16_382 + "1", "0." + "0" * 16_383 + "1", "-0", "123.456e-789", "0.001e131074", "0.001e131075",
    ],
    ids=lambda number: number[:20],
)  # fmt: skip
def test_jsonb_accepts_a_number_if_and_only_if_kept_by_jsonb_does(owner: psycopg.Connection[Row], number: str) -> None:
    try:
        owner.execute("SELECT %s::jsonb", [f"[{number}]"])
        taken = True
    except psycopg.errors.NumericValueOutOfRange:
        taken = False
    assert kept_by_jsonb(f"[{number}]") is taken
