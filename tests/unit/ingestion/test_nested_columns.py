"""Columns with a path, found inside the nested columns of Parquet, ORC and Arrow's files, and of Avro's records."""

import io
import json
from collections.abc import Callable
from dataclasses import replace

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import orc

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.readers.nested_columns import remaining, value_at

pytestmark = pytest.mark.unit

RECORDS = [
    {
        "id": "1",
        "readings": {"temperature": {"value": 21.5, "unit": "C"}, "note": "ok"},
        "items": [{"sku": "a", "count": 2}, {"sku": "b", "count": 3}],
    },
    {"id": "2", "readings": {"temperature": None, "note": None}, "items": []},
    {"id": "3", "readings": None, "items": None},
    {"id": "4", "readings": {"temperature": {"value": 7.0, "unit": None}, "note": "x"}, "items": [None]},
]
READINGS = pa.struct(
    [("temperature", pa.struct([("value", pa.float64()), ("unit", pa.string())])), ("note", pa.string())]
)
TABLE = pa.Table.from_pylist(
    RECORDS,
    pa.schema(
        [
            ("id", pa.string()),
            ("readings", READINGS),
            ("items", pa.list_(pa.struct([("sku", pa.string()), ("count", pa.int64())]))),
        ]
    ),
)
AVRO = {
    "type": "record", "name": "row", "fields": [
        {"name": "id", "type": "string"},
        {"name": "readings", "type": ["null", {"type": "record", "name": "readings", "fields": [
            {"name": "temperature", "type": ["null", {"type": "record", "name": "temperature", "fields": [
                {"name": "value", "type": "double"}, {"name": "unit", "type": ["null", "string"]}]}]},
            {"name": "note", "type": ["null", "string"]}]}]},
        {"name": "items", "type": ["null", {"type": "array", "items": ["null", {
            "type": "record", "name": "item", "fields": [
                {"name": "sku", "type": "string"}, {"name": "count", "type": "long"}]}]}]},
    ],
}  # fmt: skip
COLUMNS = (
    Column("id", ColumnType.TEXT, required=True),
    Column("temperature", ColumnType.FLOAT, path="readings.temperature.value"),
    Column("sku", ColumnType.TEXT, path="items.0.sku"),
    Column("second", ColumnType.INTEGER, path="items.1.count"),
    Column("nowhere", ColumnType.TEXT, path="readings.note.deeper"),
)


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    target = io.BytesIO()
    write(target)
    return target.getvalue()


def as_stream(target: io.BytesIO) -> None:
    with pa.ipc.new_stream(target, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=3)


FILES: dict[str, Callable[[], bytes]] = {
    "parquet": lambda: written(lambda target: pq.write_table(TABLE, target)),
    "orc": lambda: written(lambda target: orc.write_table(TABLE, target)),
    "arrow": lambda: written(as_stream),
    "avro": lambda: written(lambda target: fastavro.writer(target, AVRO, RECORDS)),
    "json": lambda: "\n".join(map(json.dumps, RECORDS)).encode(),
}
FOUND = [("1", 21.5, "a", 3, None), ("2", None, None, None, None), ("3", None, None, None, None),
         ("4", 7.0, None, None, None)]  # fmt: skip


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize("unknown", [UnknownColumns.IGNORE, UnknownColumns.RESCUE, UnknownColumns.EVOLVE])
@pytest.mark.parametrize("kind", FILES)
def test_columns_are_found_by_their_path(
    stages, contract_of, kind: str, unknown: UnknownColumns, *, slow: bool
) -> None:
    contract = contract_of(*COLUMNS, unknown_columns=unknown)
    validated = stages.validate(contract, FILES[kind](), slow=slow)
    assert validated.rejects.rows == 0
    rows = stages.processed(contract, validated)
    assert [tuple(row[column.name] for column in COLUMNS) for row in rows] == FOUND
    assert not validated.extra_columns


@pytest.mark.parametrize("kind", ["parquet", "orc", "arrow"])
def test_a_flat_result_takes_the_fast_path(stages, contract_of, kind: str) -> None:
    contract = contract_of(*COLUMNS[:4], unknown_columns=UnknownColumns.IGNORE)
    assert stages.validate(contract, FILES[kind]()).path_taken == "fast"


@pytest.mark.parametrize("kind", ["parquet", "orc", "arrow"])
@pytest.mark.parametrize("unknown", [UnknownColumns.RESCUE, UnknownColumns.EVOLVE])
def test_what_paths_leave_is_rescued(stages, contract_of, kind: str, unknown: UnknownColumns) -> None:
    contract = contract_of(*COLUMNS[:2], unknown_columns=unknown)
    first = stages.rows(contract, FILES[kind]())[0]
    rescued = json.loads(first["_rescued"])
    assert json.loads(rescued["readings"]) == {"temperature": {"unit": "C"}, "note": "ok"}
    assert ("items" in rescued) is (unknown is UnknownColumns.RESCUE)


@pytest.mark.parametrize("kind", ["parquet", "avro"])
def test_unknown_columns_do_not_include_those_that_a_path_enters(stages, contract_of, kind: str) -> None:
    contract = contract_of(*COLUMNS, unknown_columns=UnknownColumns.REJECT)
    assert stages.validate(contract, FILES[kind]()).rejects.rows == 0


@pytest.mark.parametrize("kind", ["parquet", "orc", "arrow", "avro"])
def test_a_required_path_without_a_beginning_refuses_the_file(stages, contract_of, kind: str) -> None:
    required = Column("x", ColumnType.TEXT, required=True, path="elsewhere.value")
    refusal = stages.refusal(contract_of(COLUMNS[0], required), FILES[kind]())
    assert (refusal.code, "elsewhere.value" in refusal.message) == (Code.MISSING_COLUMNS, True)


@pytest.mark.parametrize("kind", ["parquet", "orc", "arrow", "avro"])
def test_a_required_value_that_a_row_lacks_refuses_the_row(stages, contract_of, kind: str) -> None:
    contract = contract_of(COLUMNS[0], replace(COLUMNS[2], required=True))
    found = stages.validate(contract, FILES[kind]()).rejects.first
    assert [(one.source_row, one.column, one.code) for one in found] == [
        (number, "sku", Code.MISSING_VALUE) for number in (2, 3, 4)
    ]


def test_a_column_is_not_found_by_its_name_if_it_has_a_path(stages, contract_of) -> None:
    table = TABLE.append_column("temperature", pa.array(["other"] * 4))
    contract = contract_of(*COLUMNS[:2], unknown_columns=UnknownColumns.RESCUE)
    row = stages.rows(contract, written(lambda target: pq.write_table(table, target)))[0]
    assert (row["temperature"], json.loads(row["_rescued"])["temperature"]) == (21.5, "other")


def test_a_nested_column_may_be_a_column_too(stages, contract_of) -> None:
    contract = contract_of(*COLUMNS[:2], Column("readings", ColumnType.JSON))
    row = stages.rows(contract, FILES["parquet"]())[0]
    assert row["temperature"] == 21.5
    assert json.loads(row["readings"]) == RECORDS[0]["readings"]


def test_values_in_maps_fixed_lists_and_slices() -> None:
    maps = pa.array([[("a", 1), ("b", 2), ("a", 3)], [], None], pa.map_(pa.string(), pa.int64()))
    assert value_at(maps, ["a"]).to_pylist() == [3, None, None]
    assert value_at(pa.array([[(1, 1)]], pa.map_(pa.int64(), pa.int64())), ["1"]).to_pylist() == [None]
    fixed = pa.array([[1, 2], [3, 4], None], pa.list_(pa.int64(), 2))
    assert value_at(fixed, ["1"]).to_pylist() == [2, 4, None]
    lists = pa.array([[1], [2, 3], [], [4, 5]]).slice(1)
    assert value_at(lists, ["1"]).to_pylist() == [3, None, 5]
    assert value_at(lists, ["01"]).to_pylist() == value_at(lists, ["x"]).to_pylist() == [None] * 3
    rows = pa.array([{"a": 1}, None, {"a": 2}]).slice(1)
    assert value_at(rows, ["a"]).to_pylist() == [None, 2]
    assert value_at(pa.array([1, 2]), ["a"]).to_pylist() == [None, None]


def test_remaining_keeps_other_members_of_a_structure() -> None:
    rows = pa.array([{"a": {"b": 1, "c": 2}, "d": [1]}, None])
    assert remaining(rows, [("a", "b")]).to_pylist() == [{"a": {"c": 2}, "d": [1]}, None]
    assert remaining(rows, [("a", "b"), ("a", "c")]).to_pylist() == [{"d": [1]}, None]
    assert remaining(rows, [("d", "0")]).to_pylist() == rows.to_pylist()
    assert pa.types.is_null(remaining(rows, [("a", "b"), ("a", "c"), ("d",)]).type)
