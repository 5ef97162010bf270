"""Every type of a contract, loaded from every format into PostgreSQL; and contracts with new columns."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.samples.badness import SampleFormat

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import MakePipeline
    from ingest_pipeline import Pipeline, Row

pytestmark = pytest.mark.integration

TYPES = pa.schema(
    [
        ("warehouse_code", pa.string()),
        ("sku", pa.string()),
        ("product_name", pa.string()),
        ("on_hand", pa.int64()),
        ("reserved", pa.int64()),
        ("unit_weight_kg", pa.float64()),
        ("is_active", pa.bool_()),
        ("last_counted_on", pa.date32()),
        ("last_moved_at", pa.timestamp("us")),
        ("supplier_id", pa.string()),
        ("attributes", pa.string()),
        ("correction", pa.decimal128(14, 4)),
        ("measured_at", pa.timestamp("us", "UTC")),
    ]
)
# types that the contract of inventory lacks: a number that may be negative, a time with a zone
MORE = (
    Column("correction", ColumnType.NUMBER, precision=14, scale=4),
    Column("measured_at", ColumnType.TIMESTAMPTZ),
)
NESTED: dict[str, Any] = {
    "farbe": "grün",
    "名前": ["椅子", "😀", 'say "hi"', "a\\b"],
    "shelf": {"aisle": -4, "level": None, "open": True, "weights": [0.1, 1e-7, 12345678901234567]},
    "empty": {},
}
INVENTORY: list[Row] = [
    {
        "warehouse_code": "WH-001", "sku": "CHR-00001", "product_name": "Stuhl „Łódź“ 椅", "on_hand": 10, "reserved": 4,
        "unit_weight_kg": 4.25, "is_active": True, "last_counted_on": dt.date(2000, 1, 1),
        "last_moved_at": dt.datetime(2026, 3, 29, 2, 30, 0, 123456),  # noqa: DTZ001 - local time by contract
        "supplier_id": uuid.UUID("6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21"), "attributes": NESTED,
        "correction": Decimal("-1234567890.0001"), "measured_at": dt.datetime(1969, 12, 31, 23, 59, 59, 999999, dt.UTC),
    },
    {
        "warehouse_code": "WH-001", "sku": "CHR-00002", "product_name": "O'Neil; \"quoted\", comma", "on_hand": 0,
        "reserved": None, "unit_weight_kg": None, "is_active": False, "last_counted_on": None,
        "last_moved_at": dt.datetime(1999, 12, 31, 23, 59, 59),  # noqa: DTZ001
        "supplier_id": None, "attributes": None, "correction": None, "measured_at": None,
    },
    {
        "warehouse_code": "WH-002", "sku": "CHR-00001", "product_name": "same sku elsewhere", "on_hand": 10_000_000,
        "reserved": 0, "unit_weight_kg": 1e-05, "is_active": True, "last_counted_on": dt.date(2099, 12, 31),
        "last_moved_at": dt.datetime(1905, 2, 28),  # noqa: DTZ001
        "supplier_id": uuid.UUID(int=0), "attributes": [1, "two", None], "correction": Decimal("-0.0001"),
        "measured_at": dt.datetime(2024, 2, 29, 12, 0, 0, 0, dt.UTC),
    },
]  # fmt: skip


def as_text(value: Any) -> Any:
    match value:
        case dict() | list():
            return json.dumps(value, ensure_ascii=False)
        case uuid.UUID() | Decimal():
            return str(value)
        case dt.datetime() | dt.date():
            return value.isoformat()
        case _:
            return value


def as_csv(rows: list[Row]) -> bytes:
    out = io.StringIO()
    writer = csv.DictWriter(out, TYPES.names)
    writer.writeheader()
    writer.writerows({name: as_text(value) for name, value in row.items()} for row in rows)
    return out.getvalue().encode()


def as_ndjson(rows: list[Row]) -> bytes:
    """Nested values unchanged, numbers as JSON numbers."""
    lines = []
    for row in rows:
        record = {n: v if isinstance(v, dict | list) else as_text(v) for n, v in row.items()}
        text = json.dumps(record, ensure_ascii=False)
        lines.append(text.replace(f'"{row["correction"]}"', str(row["correction"])))
    return "\n".join(lines).encode()


def as_json(rows: list[Row]) -> bytes:
    return b"[" + as_ndjson(rows).replace(b"\n", b",\n") + b"]"


def as_parquet(rows: list[Row]) -> bytes:
    kept = [{n: as_text(v) if TYPES.field(n).type == pa.string() else v for n, v in row.items()} for row in rows]
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(kept, TYPES), out)
    return out.getvalue()


@pytest.mark.parametrize("write", [as_csv, as_ndjson, as_json, as_parquet], ids=lambda f: f.__name__)
def test_pipeline_loads_every_type_unchanged(make_pipeline: MakePipeline, write: Callable[[list[Row]], bytes]) -> None:
    base = make_pipeline("inventory").contract
    pipeline = make_pipeline("inventory", columns=(*base.columns, *MORE))

    entry = pipeline.send("inventory", write(INVENTORY))

    pipeline.assert_archived(entry, inserted=3)
    stored = pipeline.rows()
    assert [row.pop("available") for row in stored] == [6, 0, 10_000_000]
    assert [row.pop("_rescued") for row in stored] == [None] * 3
    assert stored == INVENTORY
    types = pipeline.sql(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0",
        f"raw.{pipeline.contract.dataset}",
    )
    assert {row["attname"]: row["type"] for row in types} == {
        "_file_id": "bigint", "_source_row": "bigint", "_loaded_at": "timestamp with time zone", "_rescued": "jsonb",
        "warehouse_code": "text", "sku": "text", "product_name": "text", "on_hand": "bigint", "reserved": "bigint",
        "available": "bigint", "unit_weight_kg": "double precision", "is_active": "boolean", "last_counted_on": "date",
        "last_moved_at": "timestamp without time zone", "supplier_id": "uuid", "attributes": "jsonb",
        "correction": "numeric(14,4)", "measured_at": "timestamp with time zone",
    }  # fmt: skip
    key = pipeline.sql(
        "SELECT pg_get_constraintdef(oid) AS key FROM pg_constraint WHERE conrelid = %s::regclass AND contype = 'p'",
        f"raw.{pipeline.contract.dataset}",
    )
    assert key == [{"key": "PRIMARY KEY (warehouse_code, sku)"}]


def test_pipeline_merges_by_the_whole_composite_key_across_formats(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline("inventory")
    names = [column.name for column in pipeline.contract.source_columns]
    loaded = [{name: row[name] for name in names} for row in INVENTORY]
    header = ",".join(names).encode()
    pipeline.send("1.csv", as_csv(INVENTORY))
    moved = dt.datetime(2027, 1, 1)  # noqa: DTZ001
    later = {**INVENTORY[2], "on_hand": 7, "reserved": 7, "last_moved_at": moved}

    entry = pipeline.send("2.ndjson", as_ndjson([{n: later[n] for n in TYPES.names}]))

    pipeline.assert_archived(entry, updated=1)
    assert header
    rows = [{name: row[name] for name in names} for row in pipeline.rows()]
    assert rows == [*loaded[:2], {name: later[name] for name in names}]
    assert pipeline.rows()[2]["available"] == 0


@pytest.mark.parametrize(
    "file_format", [SampleFormat.CSV, SampleFormat.NDJSON, SampleFormat.JSON, SampleFormat.PARQUET], ids=str
)
def test_pipeline_loads_the_same_inventory_from_every_format(
    make_pipeline: MakePipeline, file_format: SampleFormat
) -> None:
    """The sample as Parquet, read only by pyarrow, gives the expected rows."""
    pipeline = make_pipeline("inventory")
    body = pipeline.sample(f"inventory.{file_format}", 800, file_format).path.read_bytes()
    typed = pq.read_table(pipeline.sample("typed.parquet", 800, SampleFormat.PARQUET).path).to_pylist()
    for row in typed:
        row["attributes"] = row["attributes"] and json.loads(row["attributes"])
        row["supplier_id"] = row["supplier_id"] and uuid.UUID(str(row["supplier_id"]))

    entry = pipeline.send(f"inventory.{file_format}", body)

    pipeline.assert_archived(entry, inserted=800)
    stored = {(row["warehouse_code"], row["sku"]): row for row in pipeline.rows(lineage=True)}
    for at, row in enumerate(typed, start=1):
        found = stored[row["warehouse_code"], row["sku"]]
        assert {name: found[name] for name in row} == row
        assert found["available"] == row["on_hand"] - (row["reserved"] or 0)
        assert found["_source_row"] == at


def test_pipeline_finds_equal_json_unchanged_however_it_is_spelt(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline("inventory")
    pipeline.send("1.ndjson", as_ndjson(INVENTORY))
    before = pipeline.versions()

    entry = pipeline.send("2.csv", as_csv(list(reversed(INVENTORY))))

    pipeline.assert_archived(entry, unchanged=3)
    assert pipeline.versions() == before


# --- contracts that grow


SHOP = Column("shop", ColumnType.TEXT)
POINTS = Column("points", ColumnType.INTEGER, required=True)


def test_contract_version_with_new_columns_widens_the_table_and_leaves_old_rows_null(pipeline: Pipeline) -> None:
    pipeline.send("old.csv", pipeline.sample("old.csv", 30).path.read_bytes())
    old_file = pipeline.sample("late.csv", 10, start=100).path.read_bytes()
    pipeline.contract = replace(
        pipeline.contract, version="1.1.0", columns=(*pipeline.contract.columns, SHOP, replace(POINTS, required=False))
    )
    new = pipeline.sample("new.csv", 20, start=20, version=2)

    entry = pipeline.send("new.csv", new.path.read_bytes())

    pipeline.assert_archived(entry, inserted=10, updated=10)
    assert [e["contract_version"] for e in pipeline.entries()] == ["1.0.0", "1.1.0"]
    with new.path.open(newline="") as file:
        expected = {
            r["sale_id"]: (r["shop"] or None, int(r["points"]) if r["points"] else None) for r in csv.DictReader(file)
        }
    stored = {row["sale_id"]: (row["shop"], row["points"]) for row in pipeline.rows()}
    assert stored == {key: expected.get(key, (None, None)) for key in stored}
    assert any(shop for shop, _ in expected.values())

    late = pipeline.send("late.csv", old_file)  # optional columns may be missing from a file
    pipeline.assert_archived(late, inserted=10)


def test_contract_version_with_a_required_column_refuses_files_without_it(pipeline: Pipeline) -> None:
    old = pipeline.sample("old.csv", 30).path.read_bytes()
    pipeline.send("1.csv", old)
    pipeline.contract = replace(pipeline.contract, version="2.0.0", columns=(*pipeline.contract.columns, POINTS))

    entry = pipeline.send("2.csv", old + b"\n")

    pipeline.assert_refused(entry, "missing-columns")
    pipeline.assert_archived(
        pipeline.send("3.csv", pipeline.sample("3.csv", 40, version=2).path.read_bytes()), inserted=10, updated=30
    )


HEADER = "sale_id,sale_date,customer_id,product,category,quantity,unit_price,total_amount,updated_at"
LINE = "S1,2026-01-01,C1,Lamp,Toys,1,1,1,2026-01-01T00:00:00Z"
WITH_UNKNOWN = {
    "csv": f'{HEADER},Till No.,Größe\n{LINE},"7, ""b""",ü\n',
    "ndjson": json.dumps(
        {**dict(zip(HEADER.split(","), LINE.split(","), strict=True)), "Till No.": '7, "b"', "Größe": "ü"}
    ),
}


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
@pytest.mark.parametrize(
    ("mode", "columns", "rescued"),
    [
        (UnknownColumns.RESCUE, {}, {"Till No.": '7, "b"', "Größe": "ü"}),
        (UnknownColumns.IGNORE, {}, None),
        (UnknownColumns.EVOLVE, {"till_no_ea56da0f": '7, "b"', "größe": "ü"}, None),
    ],
    ids=str,
)
def test_pipeline_treats_unknown_columns_as_the_contract_says(
    make_pipeline: MakePipeline,
    mode: UnknownColumns,
    columns: dict[str, str],
    rescued: dict[str, str] | None,
    file_format: str,
) -> None:
    pipeline = make_pipeline(unknown_columns=mode)
    pipeline.send("plain.csv", f"{HEADER}\n{LINE.replace('S1', 'S0')}\n")

    entry = pipeline.send(f"more.{file_format}", WITH_UNKNOWN[file_format])

    pipeline.assert_archived(entry, inserted=1)
    plain, more = pipeline.rows()
    known = {column.name for column in pipeline.contract.columns} | {"_rescued"}
    assert {name: value for name, value in more.items() if name not in known} == columns
    assert {name: value for name, value in plain.items() if name not in known} == dict.fromkeys(columns)
    assert (plain["_rescued"], more["_rescued"]) == (None, rescued)


@pytest.mark.parametrize("file_format", ["csv", "ndjson"])
def test_pipeline_refuses_unknown_columns_where_the_contract_does(
    make_pipeline: MakePipeline, file_format: str
) -> None:
    pipeline = make_pipeline(unknown_columns=UnknownColumns.REJECT)

    entry = pipeline.send(f"more.{file_format}", WITH_UNKNOWN[file_format])

    assert "Till No." in pipeline.assert_refused(entry, "unknown-columns")["message"]


def test_evolved_columns_stay_when_a_file_lacks_them(make_pipeline: MakePipeline) -> None:
    pipeline = make_pipeline(unknown_columns=UnknownColumns.EVOLVE)
    pipeline.send("more.csv", WITH_UNKNOWN["csv"])

    entry = pipeline.send("plain.csv", f"{HEADER}\n{LINE.replace('Lamp', 'Desk').replace('T00', 'T01')}\n")

    pipeline.assert_archived(entry, updated=1)
    (row,) = pipeline.rows()
    assert (row["product"], row["till_no_ea56da0f"]) == ("Desk", '7, "b"')


@pytest.mark.parametrize(
    "name", ["_file_id", "_Rescued", "ctid", "select", "sale_id ", "a" * 200, "Robert'); DROP--", "1st"]
)
def test_evolve_handles_column_names_with_another_meaning(make_pipeline: MakePipeline, name: str) -> None:
    """Refused, or added with a harmless name; never an error of PostgreSQL, and never in a column of the pipeline."""
    pipeline = make_pipeline(unknown_columns=UnknownColumns.EVOLVE)

    entry = pipeline.send("more.csv", f'{HEADER},"{name}"\n{LINE},99\n')

    if entry["status"] == "archived":
        (row,) = pipeline.rows(lineage=True)
        assert (row["_file_id"], row["_source_row"], row["sale_id"]) == (entry["file_id"], 1, "S1")
        assert "99" in row.values()
    else:
        assert entry["error_code"] in {"duplicate-columns", "unknown-columns"}
        pipeline.assert_refused(entry, entry["error_code"])
