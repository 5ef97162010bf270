"""The reference on columnar files: bytes that are no text, and kinds of columns that are not read."""

import io
from dataclasses import replace
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import Column, ColumnType, Contract, ErrorBudget, UnknownColumns
from include.errors import Code
from tests.oracle.judge import judge

pytestmark = pytest.mark.unit

THINGS = Contract(
    "things", "1", "",
    (Column("id", ColumnType.INTEGER, required=True), Column("v", ColumnType.TEXT, path="m.v")),
    ("id",), None, Path("things.yaml"), budget=ErrorBudget(share=1.0),
)  # fmt: skip
BAD = b"\xff"


def parquet(**members: bytes) -> bytes:
    """A file with one row, whose column m is a structure."""
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": [1], "m": [members]}), sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("mode", "members", "fault"),
    [
        pytest.param(UnknownColumns.REJECT, {"v": BAD}, "v", id="at-a-path"),
        pytest.param(UnknownColumns.RESCUE, {"v": BAD}, "v", id="at-a-path-and-not-in-the-rest"),
        pytest.param(UnknownColumns.RESCUE, {"v": b"a", "w": BAD}, None, id="in-the-rest"),
        pytest.param(UnknownColumns.IGNORE, {"v": b"a", "w": BAD}, "loads", id="in-the-rest-that-is-ignored"),
    ],
)
def test_reference_refuses_rows_with_bytes_that_are_no_text(mode, members, fault) -> None:
    verdict = judge(replace(THINGS, unknown_columns=mode), parquet(**members))
    expected = [] if fault == "loads" else [(1, None, fault, Code.BAD_ENCODING)]
    assert [tuple(one) for one in verdict.faults] == expected


def test_reference_refuses_dictionaries_inside_of_nested_columns_of_arrow() -> None:
    inner = pa.StructArray.from_arrays([pa.array(["a"]).dictionary_encode()], names=["v"])
    table, sink = pa.table({"id": [1], "m": inner}), io.BytesIO()
    with pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    assert judge(THINGS, sink.getvalue()).code is Code.UNREADABLE_FILE


@pytest.mark.parametrize("codec", ["null", "deflate", "xz"])
def test_reference_knows_an_avro_file_that_is_cut(codec: str) -> None:
    empty, whole = avro(codec, 0), avro(codec, 50)
    assert judge(THINGS, empty).code is Code.NO_ROWS
    for cut in range(len(empty) + 1, len(whole)):
        assert judge(THINGS, whole[:cut]).code is Code.TRUNCATED_FILE, cut


def avro(codec: str, rows: int) -> bytes:
    """A file of one block; without rows it is a header."""
    sink = io.BytesIO()
    schema = {"type": "record", "name": "row", "fields": [{"name": "id", "type": "int"}]}
    fastavro.writer(sink, schema, [{"id": at} for at in range(rows)], codec=codec)
    return sink.getvalue()
