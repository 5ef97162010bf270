"""Times as numbers since 1970 have the same value in every format, and numbers do not need the slow path."""

import csv
import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from include.contracts.model import Column, ColumnType
from include.errors import Code
from tests.workbook_files import ods, sheet_xml, xlsx

pytestmark = pytest.mark.unit

ID = Column("id", ColumnType.INTEGER, required=True)
SECONDS = Column("seen", ColumnType.TIMESTAMPTZ, formats=("epoch-seconds",))
MILLISECONDS = Column("sent", ColumnType.TIMESTAMP, formats=("%d.%m.%Y", "epoch-milliseconds"))
NOON = datetime(2026, 1, 31, 12, 30, 15, tzinfo=UTC)
EXPECTED = [
    (1, NOON, NOON.replace(microsecond=250_000, tzinfo=None)),
    (2, None, None),
    (3, datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_000)),  # noqa: DTZ001
]
ROWS: list[dict[str, Any]] = [
    {"id": 1, "seen": 1769862615, "sent": 1769862615250},
    {"id": 2, "seen": None, "sent": None},
    {"id": 3, "seen": -1, "sent": -1},
]
TABLE = pa.Table.from_pylist(ROWS)
NAMES = ["id", "seen", "sent"]


def as_csv(rows: list[dict[str, Any]] = ROWS) -> bytes:
    stream = io.StringIO()
    csv.writer(stream).writerows([NAMES, *([row[name] for name in NAMES] for row in rows)])
    return stream.getvalue().encode()


def as_lines(rows: list[dict[str, Any]] = ROWS) -> bytes:
    return "\n".join(map(json.dumps, rows)).encode()


def as_parquet(table: pa.Table = TABLE) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


def as_orc() -> bytes:
    target = io.BytesIO()
    orc.write_table(TABLE, target)
    return target.getvalue()


def as_avro() -> bytes:
    fields = [{"name": name, "type": ["null", "long"]} for name in NAMES]
    target = io.BytesIO()
    fastavro.writer(target, {"type": "record", "name": "thing", "fields": fields}, ROWS)
    return target.getvalue()


def cast(kind: pa.DataType) -> pa.Table:
    return TABLE.cast(pa.schema([("id", pa.int64()), ("seen", kind), ("sent", kind)]))


LISTED = [NAMES, *([row[name] for name in NAMES] for row in ROWS)]
FILES: dict[str, tuple[Callable[[], bytes], str]] = {
    "csv": (as_csv, "fast"),
    "ndjson": (as_lines, "fast"),
    "ndjson-of-texts": (
        lambda: as_lines([{k: v and str(v) if k != "id" else v for k, v in row.items()} for row in ROWS]), "fast",
    ),
    "json": (lambda: json.dumps(ROWS).encode(), "fast"),
    "parquet": (as_parquet, "fast"),
    "parquet-of-doubles": (lambda: as_parquet(cast(pa.float64())), "slow"),
    "parquet-of-texts": (lambda: as_parquet(cast(pa.string())), "slow"),
    "parquet-of-decimals": (lambda: as_parquet(cast(pa.decimal128(20, 1))), "slow"),
    "orc": (as_orc, "fast"),
    "avro": (as_avro, "fast"),
    "xlsx": (lambda: xlsx({"S": sheet_xml(LISTED)}), "fast"),
    "ods": (lambda: ods({"S": LISTED}), "fast"),
}  # fmt: skip


@pytest.fixture
def contract(contract_of):
    return contract_of(ID, SECONDS, MILLISECONDS)


def values(stages, contract, body: bytes, *, slow: bool) -> tuple[list[tuple], str]:
    validated = stages.validate(contract, body, slow=slow)
    assert validated.rejects.rows == 0
    rows = stages.processed(contract, validated)
    return [(row["id"], row["seen"], row["sent"]) for row in rows], validated.path_taken


@pytest.mark.parametrize("name", FILES)
def test_numbers_since_1970_have_the_same_values_in_every_format(stages, contract, name: str) -> None:
    body, path = FILES[name]
    assert values(stages, contract, body(), slow=False) == (EXPECTED, path)
    assert values(stages, contract, body(), slow=True) == (EXPECTED, "slow")


def test_fractions_of_seconds_are_exact(stages, contract) -> None:
    body = (
        b'{"id":1,"seen":1769862615.000001}\n{"id":2,"seen":1769862615.999999}\n{"id":3,"seen":"1769862615.100000"}\n'
    )
    found, path = values(stages, contract, body, slow=False)
    assert ([seen.microsecond for _, seen, _ in found], path) == ([1, 999_999, 100_000], "fast")
    sheet = xlsx({"S": sheet_xml([NAMES, [1, 1769862615.25, 1769862615250.0]])})
    assert values(stages, contract, sheet, slow=False)[0] == [(1, NOON.replace(microsecond=250_000), EXPECTED[0][2])]


@pytest.mark.parametrize("name", ["csv", "ndjson", "parquet"])
def test_numbers_of_no_known_time_refuse_their_rows(stages, contract, name: str) -> None:
    seen = [253402300800, -62135596801, -2208988801, -2208988800]
    rows = [{"id": at, "seen": number, "sent": None} for at, number in enumerate(seen, 1)]
    body = {"csv": as_csv, "ndjson": as_lines, "parquet": lambda rows: as_parquet(pa.Table.from_pylist(rows))}[name](
        rows
    )
    validated = stages.validate(contract, body)
    assert [(one.source_row, one.column, one.code, one.value) for one in validated.rejects.first] == [
        (1, "seen", Code.BAD_TIMESTAMP, "253402300800"),
        (2, "seen", Code.BAD_TIMESTAMP, "-62135596801"),
        (3, "seen", Code.IMPLAUSIBLE_DATE, "-2208988801"),
    ]
    assert [row["seen"] for row in stages.processed(contract, validated)] == [datetime(1900, 1, 1, tzinfo=UTC)]
    assert "epoch-seconds" in validated.rejects.first[0].message


def test_a_compact_day_in_whole_numbers_of_parquet_takes_the_fast_path(stages, contract_of) -> None:
    contract = contract_of(ID, Column("seen", ColumnType.DATE, formats=("%Y%m%d",)))
    body = as_parquet(pa.table({"id": [1, 2], "seen": [20260131, None]}))
    for slow in (False, True):
        validated = stages.validate(contract, body, slow=slow)
        assert [str(row["seen"]) for row in stages.processed(contract, validated)] == ["2026-01-31", "None"]
        assert validated.path_taken == ("slow" if slow else "fast")


def test_times_of_parquet_in_a_column_with_formats_are_times(stages, contract) -> None:
    columns = {"id": [1], "seen": pa.array([NOON], pa.timestamp("us", "UTC")), "sent": pa.array([None], pa.int64())}
    assert values(stages, contract, as_parquet(pa.table(columns)), slow=False) == ([(1, NOON, None)], "fast")
