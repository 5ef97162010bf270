"""Workbooks, Avro, ORC and Arrow files load the rows that CSV loads; partition folders give columns and identity."""

from __future__ import annotations

import bz2
import csv
import datetime as dt
import io
import lzma
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather, orc

from include.contracts.model import Column, ColumnType, ErrorBudget, OnDuplicate
from include.samples.writer import Sample, write_sample
from tests.binary_workbook_files import xlsb
from tests.workbook_files import ods, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakePipeline
    from ingest_pipeline import Row

    from include.contracts.model import Contract

pytestmark = pytest.mark.integration

ROWS = 500


@pytest.fixture(scope="module")
def sample(contracts: dict[str, Contract], tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A CSV file of good rows."""
    path = tmp_path_factory.mktemp("sample") / "sales.csv"
    write_sample(Sample(contracts["sales"], ROWS), path)
    return path.read_bytes()


def typed(sample: bytes) -> list[dict[str, Any]]:
    """The rows of the file as Python values."""
    readers: dict[str, Callable[[str], Any]] = {
        "sale_date": dt.date.fromisoformat,
        "quantity": int,
        "unit_price": Decimal,
        "total_amount": Decimal,
        "updated_at": dt.datetime.fromisoformat,
    }
    rows = csv.DictReader(io.StringIO(sample.decode()))
    return [{name: readers.get(name, str)(text) if text else None for name, text in row.items()} for row in rows]


def arrow(sample: bytes) -> pa.Table:
    money = pa.decimal128(14, 2)
    types = {"unit_price": money, "total_amount": money, "updated_at": pa.timestamp("us", "UTC")}
    rows = typed(sample)
    return pa.table({name: pa.array([row[name] for row in rows], types.get(name)) for name in rows[0]})


def cells(sample: bytes) -> list[list[Any]]:
    """Header and rows for a workbook, which has no zones and no decimals."""

    def cell(value: Any) -> Any:
        if isinstance(value, Decimal):
            return float(value)
        return value.astimezone(dt.UTC).replace(tzinfo=None) if isinstance(value, dt.datetime) else value

    rows = typed(sample)
    return [list(rows[0]), *([cell(value) for value in row.values()] for row in rows)]


def avro(sample: bytes, codec: str) -> bytes:
    money = {"type": "bytes", "logicalType": "decimal", "precision": 14, "scale": 2}
    types: dict[str, Any] = {
        "sale_date": {"type": "int", "logicalType": "date"},
        "quantity": "long",
        "unit_price": money,
        "total_amount": money,
        "updated_at": {"type": "long", "logicalType": "timestamp-micros"},
    }
    rows, target = typed(sample), io.BytesIO()
    fields = [{"name": name, "type": ["null", types.get(name, "string")]} for name in rows[0]]
    fastavro.writer(target, {"type": "record", "name": "sale", "fields": fields}, rows, codec=codec)
    return target.getvalue()


def written(write: Callable[..., object], *arguments: object, **options: object) -> bytes:
    target = io.BytesIO()
    write(*(target if argument is TARGET else argument for argument in arguments), **options)
    return target.getvalue()


TARGET = object()


def stream(sample: bytes) -> bytes:
    rows, target = arrow(sample), io.BytesIO()
    with pa.ipc.new_stream(target, rows.schema) as writer:
        writer.write_table(rows, max_chunksize=100)
    return target.getvalue()


FORMATS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "bzip2": (bz2.compress, "csv; bzip2"),
    "xz": (lzma.compress, "csv; xz"),
    "xlsx": (lambda sample: table(cells(sample)), "xlsx"),
    "xlsb": (lambda sample: xlsb({"Sales": cells(sample)}), "xlsb"),
    "ods": (lambda sample: ods({"Sales": cells(sample)}), "ods"),
    "avro": (lambda sample: avro(sample, "null"), "avro"),
    "avro-snappy": (lambda sample: avro(sample, "snappy"), "avro"),
    "avro-zstandard": (lambda sample: avro(sample, "zstandard"), "avro"),
    "orc": (lambda sample: written(orc.write_table, arrow(sample), TARGET), "orc"),
    "feather": (lambda sample: written(feather.write_feather, arrow(sample), TARGET), "arrow"),
    "arrow-stream": (stream, "arrow"),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_format_loads_the_rows_of_csv(make_pipeline: MakePipeline, sample: bytes, name: str) -> None:
    write, shown = FORMATS[name]
    pipeline = make_pipeline()
    entry = pipeline.send("sales.dat", write(sample))
    pipeline.assert_archived(entry, inserted=ROWS)
    pipeline.assert_tidy()
    assert entry["format"] == shown
    expected = sorted(typed(sample), key=lambda row: row["sale_id"].encode())
    stored = [{name: row[name] for name in expected[0]} for row in pipeline.rows()]
    assert to_milliseconds(stored) == to_milliseconds(expected)


def to_milliseconds(rows: list[Row]) -> list[Row]:
    """Workbooks keep a moment as a fraction of a day: to the millisecond."""
    return [{**row, "updated_at": row["updated_at"].replace(microsecond=row["updated_at"].microsecond // 1000)}
            for row in rows]  # fmt: skip


def test_a_bad_row_of_a_workbook_is_refused_with_its_number(make_pipeline: MakePipeline, sample: bytes) -> None:
    rows = cells(sample)[:4]
    rows[2][6] = '<c {r} t="e"><v>#DIV/0!</v></c>'
    pipeline = make_pipeline(budget=ErrorBudget(rows=1))
    entry = pipeline.send("sales.xlsx", table(rows))
    assert (entry["status"], entry["rows_read"], entry["rows_inserted"], entry["rows_rejected"]) == (
        "archived",
        3,
        2,
        1,
    )
    (reject,) = pipeline.rejected(entry["file_id"])
    assert (reject["source_line"], reject["column_name"], reject["code"]) == (3, "quantity", "error-cell")


def test_partition_folders_give_columns_and_identity(make_pipeline: MakePipeline) -> None:
    columns = (
        Column("id", ColumnType.TEXT, required=True),
        Column("n", ColumnType.INTEGER),
        Column("dt", ColumnType.DATE, required=True, partition="dt"),
        Column("region", ColumnType.TEXT, partition="region"),
    )
    pipeline = make_pipeline(columns=columns, key=("dt", "id"), newest_by=None, row_rules=(), expectations=(),
                             on_duplicate=OnDuplicate.REFUSE)  # fmt: skip
    body = written(pq.write_table, pa.table({"id": ["1", "2"], "n": [1, 2]}), TARGET)
    for day, region in (("2026-11-28", "North%2FEast"), ("2026-11-29", "__HIVE_DEFAULT_PARTITION__")):
        pipeline.assert_archived(pipeline.send(f"dt={day}/region={region}/part-0.parquet", body), inserted=2)
    assert [(str(row["dt"]), row["id"], row["region"]) for row in pipeline.rows()] == [
        ("2026-11-28", "1", "North/East"),
        ("2026-11-28", "2", "North/East"),
        ("2026-11-29", "1", None),
        ("2026-11-29", "2", None),
    ]
    again = pipeline.send("dt=2026-11-29/region=__HIVE_DEFAULT_PARTITION__/part-1.parquet", body)
    assert again["status"] == "duplicate"
    bad = pipeline.send("dt=2026-13-99/region=x/part-0.parquet", body)
    assert (bad["status"], bad["error_code"]) == ("validation_failed", "bad-partition")
    assert "2026-13-99" in bad["error_message"]
    missing = pipeline.send("part-0.parquet", body)
    assert (missing["status"], missing["error_code"]) == ("validation_failed", "bad-partition")
