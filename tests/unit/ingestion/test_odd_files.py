"""Valid but unusual files that the fuzzer found, and that a library could not read."""

import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import Column, ColumnType, Contract, ErrorBudget, UnknownColumns
from include.errors import Code

pytestmark = pytest.mark.unit

KEY = Column("id", ColumnType.TEXT, required=True)


def parquet(**columns: pa.Array) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def texts(contract: Contract, validated, name: str) -> list:
    return pq.read_table(validated.path)[name].to_pylist()


@pytest.mark.parametrize(
    ("array", "value"),
    [
        (pa.array([Decimal("1.50")], pa.decimal256(50, 2)), "1.50"),
        (pa.array([Decimal("1.50")], pa.decimal256(50, 2)).dictionary_encode(), "1.50"),
        (pa.array([0.5], pa.float32()).cast(pa.float16()), "0.5"),
        (pa.array([[("k", 1), ("k", 2)]], pa.map_(pa.string(), pa.int32())), '{"k":2}'),
        (pa.array([[Decimal("1.50")]], pa.list_(pa.decimal256(50, 2))), "[1.50]"),
    ],
    ids=["decimal256", "dictionary of decimal256", "half float", "map with a key twice", "list of decimal256"],
)
def test_parquet_of_types_that_the_engine_does_not_know_is_read(
    stages, contract_of, array: pa.Array, value: str
) -> None:
    contract = contract_of(KEY, Column("x", ColumnType.TEXT))
    validated = stages.validate(contract, parquet(id=pa.array(["a"]), x=array))
    assert texts(contract, validated, "x") == [value]


def test_parquet_times_beyond_microseconds_refuse_their_row_only(stages, contract_of) -> None:
    contract = contract_of(KEY, Column("at", ColumnType.TIMESTAMP), budget=ErrorBudget(rows=2))
    moments = pa.array([1, 2**62, -(2**62), None], pa.int64()).cast(pa.timestamp("ms"))
    validated = stages.validate(contract, parquet(id=pa.array(list("abcd")), at=moments))
    assert texts(contract, validated, "id") == ["a", "d"]
    assert [(reject.source_row, reject.code) for reject in validated.rejects.first] == [
        (2, Code.OUT_OF_RANGE), (3, Code.OUT_OF_RANGE),
    ]  # fmt: skip


@pytest.mark.parametrize("names", [("", "b"), ("A", "b.c"), ('"', "'")], ids=["empty", "upper case", "quotes"])
def test_parquet_keeps_unknown_columns_of_any_name(stages, contract_of, names: tuple[str, str]) -> None:
    contract = contract_of(KEY, unknown_columns=UnknownColumns.RESCUE)
    columns = {name: pa.array([1]) for name in names}
    validated = stages.validate(contract, parquet(id=pa.array(["a"]), **columns))
    assert len(texts(contract, validated, "_rescued")) == 1


@pytest.mark.parametrize(
    "content",
    [b"id,a\0b\n" + b"1,2\n" * 20, parquet(**{"id": pa.array(["1"]), "a\0b": pa.array([2])})],
    ids=["csv", "parquet"],
)
def test_file_with_a_nul_in_a_column_name_is_refused(stages, contract_of, content: bytes) -> None:
    refusal = stages.refusal(contract_of(KEY), content)
    assert refusal.code is Code.UNREADABLE_FILE
    assert r"NUL character: a\x00b" in refusal.message


def test_a_null_among_lists_of_a_fixed_size_is_refused_with_a_remedy_that_helps(stages, contract_of) -> None:
    vectors = pa.array([[1.5, 2.5], None], pa.list_(pa.float64(), 2))
    refusal = stages.refusal(contract_of(KEY), parquet(id=pa.array(["1", "2"]), v=vectors))
    assert refusal.code is Code.UNREADABLE_FILE
    assert "plain lists" in refusal.remedy
    plain = parquet(id=pa.array(["1", "2"]), v=vectors.cast(pa.list_(pa.float64())))
    assert len(stages.rows(contract_of(KEY), plain)) == 2


@pytest.mark.parametrize("content", [b'[{"id": "1"}]\n[{"id": "2"}]', b"[] []"], ids=["rows", "empty"])
def test_consecutive_arrays_are_a_broken_document(stages, contract_of, content: bytes) -> None:
    assert stages.refusal(contract_of(KEY), content).code is Code.UNREADABLE_FILE


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
@pytest.mark.parametrize(
    "content",
    [
        '\ufeff{"id": "1"}\n\ufeff{"id": "\ufeff2"}\n',
        '\ufeff{"id": "1"}\ufeff{"id": "\ufeff2"}',
        '\ufeff{\n"id": "1"}\n\ufeff{\n"id": "\ufeff2"}\n\ufeff',
    ],
    ids=["lines", "on-one-line", "document"],
)
def test_a_byte_order_mark_between_records_of_json_is_skipped(stages, contract_of, content: str, encoding: str) -> None:
    assert [row["id"] for row in stages.rows(contract_of(KEY), content.encode(encoding))] == ["1", "\ufeff2"]


@pytest.mark.parametrize("encoding", ["utf-32", "utf-32-be"])
def test_utf_32_is_read_and_not_taken_for_utf_16(stages, contract_of, encoding: str) -> None:
    content = ("\ufeff" * (encoding == "utf-32-be") + "id\n1\n").encode(encoding)
    assert [row["id"] for row in stages.rows(contract_of(KEY), content)] == ["1"]
