"""Batches with exact types, the Parquet spool, rows as JSON."""

from __future__ import annotations

import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.errors import Code, RetryableError
from include.sources.database.columns import TableColumn, UnfitColumnsError, decimal_type, exact_batch
from include.sources.database.json_rows import json_rows
from include.sources.spool import ParquetSpool

pytestmark = pytest.mark.unit

SCHEMA = pa.schema([("id", pa.int64()), ("word", pa.string())])


def column(name: str, exact: pa.DataType | None = None) -> TableColumn:
    return TableColumn(name, "any", name, exact)


@pytest.mark.parametrize(
    ("kind", "texts", "values"),
    [
        (pa.decimal128(12, 2), ["1.10", None, "-0.01"], [Decimal("1.10"), None, Decimal("-0.01")]),
        (pa.date32(), ["2026-01-31", None], [date(2026, 1, 31), None]),
        (pa.timestamp("us"), ["9999-12-31 23:59:59.999999"], [datetime(9999, 12, 31, 23, 59, 59, 999999)]),  # noqa: DTZ001
        (
            pa.timestamp("us", "UTC"), ["2026-01-31 12:00:00.5+00", "2026-01-31 12:00:00+05:30"],
            [datetime(2026, 1, 31, 12, 0, 0, 500000, UTC), datetime(2026, 1, 31, 6, 30, tzinfo=UTC)],
        ),
    ],
    ids=str,
)  # fmt: skip
def test_texts_become_exact_values(kind: pa.DataType, texts: list[str | None], values: list[object]) -> None:
    batch = pa.record_batch({"x": pa.array(texts, pa.large_string())})
    assert exact_batch(batch, [column("x", kind)], ()).column("x").to_pylist() == values


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (pa.decimal128(12, 2), "NaN"), (pa.decimal128(12, 2), "12345678901.00"), (pa.date32(), "0000-00-00"),
        (pa.date32(), "2026-02-00"), (pa.date32(), "0000-01-01"), (pa.date32(), "infinity"),
        (pa.date32(), "10000-01-01"), (pa.timestamp("us"), "0044-03-15 12:00:00 BC"),
        (pa.timestamp("us"), "0000-01-01 00:00:00"), (pa.timestamp("us", "UTC"), "-infinity"),
        (pa.timestamp("us", "UTC"), "294276-12-31 23:59:59+00"),
    ],
    ids=str,
)  # fmt: skip
def test_text_without_a_value_keeps_its_column_as_text(kind: pa.DataType, text: str) -> None:
    columns = [column("x", kind), column("y", pa.date32())]
    batch = pa.record_batch({"x": [text, None], "y": ["2026-01-31", None]})
    with pytest.raises(UnfitColumnsError) as caught:
        exact_batch(batch, columns, ())
    assert caught.value.names == {"x"}
    found = exact_batch(batch, columns, {"x"})
    assert found.column("x").to_pylist() == [text, None]
    assert found.schema.field("y").type == pa.date32()


def test_decimals_without_an_exact_type() -> None:
    assert decimal_type(38, 38) == pa.decimal128(38, 38)
    assert [decimal_type(*given) for given in ((39, 2), (None, None), (5, -2), (2, 3), (0, 0))] == [None] * 5


# The spool


def rows(first: int, count: int) -> pa.RecordBatch:
    return pa.record_batch([list(range(first, first + count)), [f"w{n}" for n in range(count)]], schema=SCHEMA)


def spooled(folder: Path, sizes: list[int], *, restart: bool = False) -> tuple[str, int, pa.Table]:
    with ParquetSpool(folder) as spool:
        if restart:
            spool.begin(pa.schema([("other", pa.int32())]))
            for _ in range(3):
                spool.write(pa.record_batch({"other": pa.array(range(40_000), pa.int32())}))
        spool.begin(SCHEMA)
        first = 0
        for size in sizes:
            spool.write(rows(first, size))
            first += size
        return spool.sha256, spool.size_bytes, pq.read_table(spool.file())


def test_same_rows_make_the_same_bytes(tmp_path: Path) -> None:
    first, again, later = (
        spooled(tmp_path, [50_000, 50_000, 7]),
        spooled(tmp_path, [50_000, 50_000, 7]),
        spooled(tmp_path, [50_000, 50_000, 7], restart=True),
    )
    assert first[:2] == again[:2] == later[:2]
    assert first[2].num_rows == 100_007
    assert first[2]["id"].to_pylist() == list(range(100_007))
    assert list(tmp_path.iterdir()) == [], "the file has no name"


def test_spool_without_rows_is_empty(tmp_path: Path) -> None:
    with ParquetSpool(tmp_path) as spool:
        assert (spool.records, spool.size_bytes) == (0, 0)
    with ParquetSpool(tmp_path) as spool:
        spool.begin(SCHEMA)
        assert spool.records == 0
        assert pq.read_table(spool.file()).num_rows == 0


def test_only_columns_that_repeat_have_a_dictionary(tmp_path: Path) -> None:
    values = {
        "id": pa.array(range(10_000), pa.int64()), "word": pa.array([f"w{n % 9}" for n in range(10_000)]),
        "none": pa.nulls(10_000, pa.string()), "ok": pa.array([True, False] * 5_000),
        "price": pa.array([Decimal(n % 2) for n in range(10_000)], pa.decimal128(12, 2)),
    }  # fmt: skip
    batch = pa.record_batch(values)
    with ParquetSpool(tmp_path) as spool:
        spool.begin(batch.schema)
        spool.write(batch)
        with pq.ParquetFile(spool.file()) as file:
            group = file.metadata.row_group(0)
            columns = [group.column(at) for at in range(group.num_columns)]
            assert file.read().to_batches() == [batch]
    assert [column.path_in_schema for column in columns if column.has_dictionary_page] == ["word", "none", "price"]


def test_full_disk_can_be_retried(tmp_path: Path) -> None:
    def fill() -> None:
        with Path("/dev/full").open("wb") as full, ParquetSpool(tmp_path) as spool:
            spool.begin(SCHEMA)
            os.dup2(full.fileno(), spool._file.fileno())
            spool.write(rows(0, 70_000))
            spool.file()

    with pytest.raises(RetryableError) as caught:
        fill()
    assert caught.value.code is Code.DISK_FULL


def test_rows_become_json_without_loss(tmp_path: Path) -> None:
    wide = Decimal("123456789012345678.12345678901234567890")
    values = {
        "n": pa.array([18446744073709551615, 0], pa.uint64()),
        "f": pa.array([0.1, float("nan")], pa.float32()),
        "d": pa.array([1e300, float("-inf")], pa.float64()),
        "p": pa.array([wide, Decimal(0)], pa.decimal128(38, 20)),
        "day": pa.array([date(2026, 1, 31), None]),
        "at": pa.array([datetime(2026, 1, 31, 12, 0, 0, 5, UTC), None], pa.timestamp("us", "UTC")),
        "plain": pa.array([datetime(2026, 1, 31, 12), None], pa.timestamp("us")),  # noqa: DTZ001
        "ok": pa.array([True, None]),
        "w": pa.array(['é"\n\x00', ""]),
    }
    first, second = map(json.loads, json_rows(pa.record_batch(values)))
    assert first == {
        "n": 18446744073709551615, "f": 0.1, "d": 1e300, "p": str(wide), "day": "2026-01-31",
        "at": "2026-01-31 12:00:00.000005Z", "plain": "2026-01-31 12:00:00.000000", "ok": True, "w": 'é"\n\x00',
    }  # fmt: skip
    assert second == {"n": 0, "f": "NaN", "d": "-Infinity", "p": "0.00000000000000000000", "day": None, "at": None,
                      "plain": None, "ok": None, "w": ""}  # fmt: skip
    with ParquetSpool(tmp_path) as spool:
        spool.begin(SCHEMA)
        spool.write(rows(1, 2))
        assert list(spool.lines()) == [b'{"id":1,"word":"w0"}', b'{"id":2,"word":"w1"}']
