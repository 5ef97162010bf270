"""Parquet of every type: on both paths, each value is the one that CSV would give, or its row is refused."""

import datetime as dt
import io
import json
import struct
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.readers.int96 import without_wrapped
from include.ingestion.readers.parquet_text import UnwritableError, _exact, parquet_text

pytestmark = pytest.mark.unit

KEY = Column("id", ColumnType.INTEGER, required=True)
TEXT = Column("x", ColumnType.TEXT)
JSON = Column("x", ColumnType.JSON)
INTEGER = Column("x", ColumnType.INTEGER)
FLOAT = Column("x", ColumnType.FLOAT)
NUMBER = Column("x", ColumnType.NUMBER, precision=38, scale=9)
TIMESTAMP = Column("x", ColumnType.TIMESTAMP, minimum="0001-01-01T00:00:00")
TIMESTAMPTZ = Column("x", ColumnType.TIMESTAMPTZ)
D = Decimal
A_UUID = UUID("6f1c2a34-9d1e-4c55-8a86-0c1f6f0b7e21")


def parquet(x: pa.Array, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table({"id": pa.array(range(1, len(x) + 1)), "x": x}), sink, **options)
    return sink.getvalue()


def of_bytes(*values: bytes, kind: pa.DataType) -> pa.Array:
    """An array of text with any bytes: Arrow does not check them."""
    return pa.Array.from_buffers(kind, len(values), pa.array(values, pa.binary()).buffers())


def moments(kind: pa.DataType, *counts: int) -> pa.Array:
    return pa.array(counts, pa.int64()).cast(kind)


def loaded(stages, contract_of, column: Column, content: bytes, *, slow: bool = False) -> dict[int, object]:
    """The values of column x by id, and the code of each refused row."""
    validated = stages.validate(contract_of(KEY, column), content, slow=slow)
    found = {row["id"]: row["x"] for row in pq.read_table(validated.path).to_pylist()}
    return found | {reject.source_row: reject.code for reject in validated.rejects.first}


BEFORE = dt.datetime(1969, 12, 31, 23, 59, 59, 999_999)  # noqa: DTZ001 - the column has no zone
LAST = dt.datetime(9999, 12, 31, 23, 59, 59)  # noqa: DTZ001
FIRST = dt.datetime(1, 1, 1)  # noqa: DTZ001
ONE = dt.datetime(2026, 1, 31, 12, 0, 0, 1)  # noqa: DTZ001
UTC = dt.UTC
# Moments that DuckDB can spell, in microseconds, and a day in milliseconds.
FIRST_COUNT, LAST_COUNT, DAY = -9_223_372_022_400_000_000, 2**63 - 2, 86_400_000
BOTH: dict[str, tuple[Column, bytes, list[object]]] = {
    "int96 of any year": (
        TIMESTAMP,
        parquet(pa.array([LAST, FIRST, ONE, BEFORE, None], pa.timestamp("us")), use_deprecated_int96_timestamps=True),
        [LAST, FIRST, ONE, BEFORE, None],
    ),
    "int96 into timestamptz": (
        TIMESTAMPTZ,
        parquet(pa.array([LAST, BEFORE], pa.timestamp("us")), use_deprecated_int96_timestamps=True),
        [LAST.replace(tzinfo=UTC), BEFORE.replace(tzinfo=UTC)],
    ),
    "int96 of nanoseconds": (
        TIMESTAMP,
        parquet(moments(pa.timestamp("ns"), -1, -1_000, -1_001), use_deprecated_int96_timestamps=True),
        [BEFORE, BEFORE, BEFORE - dt.timedelta(microseconds=1)],
    ),
    "nanoseconds before 1970": (
        TIMESTAMP,
        parquet(moments(pa.timestamp("ns"), -1, -1_000, -1_001, 1_999, -(2**63) + 1)),
        [BEFORE, BEFORE, BEFORE - dt.timedelta(microseconds=1), dt.datetime(1970, 1, 1, 0, 0, 0, 1),  # noqa: DTZ001
         dt.datetime(1677, 9, 21, 0, 12, 43, 145_224)],  # noqa: DTZ001
    ),
    "nanoseconds with a zone": (
        TIMESTAMPTZ,
        parquet(moments(pa.timestamp("ns", "Europe/Berlin"), -1, 0)),
        [BEFORE.replace(tzinfo=UTC), dt.datetime(1970, 1, 1, tzinfo=UTC)],
    ),
    "nanoseconds of a zone that does not exist": (
        TIMESTAMPTZ, parquet(moments(pa.timestamp("ns", "Nowhere/Land"), -1)), [BEFORE.replace(tzinfo=UTC)],
    ),
    "milliseconds": (TIMESTAMP, parquet(moments(pa.timestamp("ms"), -1)), [BEFORE.replace(microsecond=999_000)]),
    "float32": (
        FLOAT,
        parquet(pa.array([0.1, 1.5, 16777216.0, 3.4e38, 1e-45, -0.0, None], pa.float32())),
        [0.1, 1.5, 16777216.0, 3.3999999521443642e38, 1e-45, -0.0, None],
    ),
    "float32 into integer": (
        INTEGER, parquet(pa.array([1.0, 123456792.0, -123456792.0], pa.float32())), [1, 123456792, -123456792],
    ),
    "float32 without a value": (
        FLOAT, parquet(pa.array([float("nan"), float("-inf"), 0.2], pa.float32())),
        [Code.BAD_NUMBER, Code.BAD_NUMBER, 0.2],
    ),
    "float16": (FLOAT, parquet(pa.array([0.5, 0.1], pa.float32()).cast(pa.float16())), [0.5, 0.0999755859375]),
    "float32 into numeric": (NUMBER, parquet(pa.array([9.99, 0.1], pa.float32())), [D("9.99"), D("0.1")]),
    "float32 into text": (TEXT, parquet(pa.array([0.1, 2.0], pa.float32())), ["0.1", "2.0"]),
    "unsigned 64 bits": (NUMBER, parquet(pa.array([2**64 - 1, 0], pa.uint64())), [D(2**64 - 1), D(0)]),
    "unsigned 64 bits into bigint": (
        Column("x", ColumnType.INTEGER), parquet(pa.array([2**64 - 1, 7], pa.uint64())), [Code.OUT_OF_RANGE, 7],
    ),
    "decimal256": (
        NUMBER, parquet(pa.array([D("12345678901234567890.123456789"), D("1e-9")], pa.decimal256(60, 9))),
        [D("12345678901234567890.123456789"), D("0.000000001")],
    ),
    "decimal256 of more digits": (
        Column("x", ColumnType.NUMBER, precision=10, scale=2),
        parquet(pa.array([D("1.234"), D("12345678901.00"), D("1.50")], pa.decimal256(60, 3))),
        [Code.TOO_MANY_DECIMALS, Code.OUT_OF_RANGE, D("1.50")],
    ),
    "decimal256 into text": (TEXT, parquet(pa.array([D("1e-10")], pa.decimal256(60, 10))), ["0.0000000001"]),
    "decimal without a digit before the point": (
        TEXT, parquet(pa.array([D("0.5"), D("-0.1")], pa.decimal128(1, 1))), ["0.5", "-0.1"],
    ),
    "decimal of 38 digits behind the point": (
        TEXT, parquet(pa.array([D("0.5")], pa.decimal128(38, 38))), ["0.5" + "0" * 37],
    ),
    "milliseconds beyond the last count": (
        TEXT, parquet(moments(pa.timestamp("ms"), 2**62, -2**62, LAST_COUNT // 1000 + 1, LAST_COUNT // 1000)),
        [Code.OUT_OF_RANGE] * 3 + ["294247-01-10 04:00:54.775"],
    ),
    "microseconds beyond the last count": (
        TEXT,
        parquet(moments(pa.timestamp("us"), 2**63 - 1, 2**63 - 2, -2**63, -2**63 + 1, -2**63 + 2, FIRST_COUNT - 1,
                        FIRST_COUNT, 0)),
        [Code.OUT_OF_RANGE, "294247-01-10 04:00:54.775806", *[Code.OUT_OF_RANGE] * 4, "290309-12-22 (BC) 00:00:00",
         "1970-01-01 00:00:00"],
    ),
    "microseconds with a zone beyond what a double counts": (
        TEXT,
        parquet(moments(pa.timestamp("us", "UTC"), 2**63 - 1, -2**63, -2**63 + 1, 2**53 * 1000 + 1, 2**53 * 1000,
                        -2**53 * 1000 - 1)),
        [*[Code.OUT_OF_RANGE] * 4, "287396-10-12 08:59:00.992+00", Code.OUT_OF_RANGE],
    ),
    "moments beyond the last count into timestamp": (
        TIMESTAMP, parquet(moments(pa.timestamp("us"), 2**63 - 1, -2**63, -2**63 + 1, 0)),
        [*[Code.OUT_OF_RANGE] * 3, dt.datetime(1970, 1, 1)],  # noqa: DTZ001
    ),
    "days beyond the last count": (
        TEXT, parquet(pa.array([2**31 - 1, -2**31 + 1, 2**31 - 2, 0], pa.int32()).cast(pa.date32())),
        [Code.OUT_OF_RANGE, Code.OUT_OF_RANGE, "5881580-07-10", "1970-01-01"],
    ),
    "days in milliseconds beyond the last count": (
        TEXT, parquet(pa.array([(2**31 - 1) * DAY, (-2**31 + 1) * DAY, DAY], pa.int64()).cast(pa.date64())),
        [Code.OUT_OF_RANGE, Code.OUT_OF_RANGE, "1970-01-02"],
    ),
    "days beyond the last count into a date": (
        Column("x", ColumnType.DATE), parquet(pa.array([2**31 - 1, -2**31 + 1, 0], pa.int32()).cast(pa.date32())),
        [Code.OUT_OF_RANGE, Code.OUT_OF_RANGE, dt.date(1970, 1, 1)],
    ),
    "dictionary": (TEXT, parquet(pa.array(["a", None, "a"]).dictionary_encode()), ["a", None, "a"]),
    "delta strings": (
        TEXT, parquet(pa.array(["apple", "apricot"]), use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"}),
        ["apple", "apricot"],
    ),
    "delta lengths": (
        TEXT,
        parquet(pa.array(["a", "bc"]), use_dictionary=False, column_encoding={"x": "DELTA_LENGTH_BYTE_ARRAY"}),
        ["a", "bc"],
    ),
    "delta numbers": (
        Column("x", ColumnType.INTEGER),
        parquet(pa.array([1, 2**62]), use_dictionary=False, column_encoding={"x": "DELTA_BINARY_PACKED"}), [1, 2**62],
    ),
    "delta of fixed binary": (
        TEXT,
        parquet(pa.array([b"abc", b"abd"], pa.binary(3)), use_dictionary=False,
                column_encoding={"x": "DELTA_BYTE_ARRAY"}),
        ["abc", "abd"],
    ),
    "split bytes": (
        FLOAT, parquet(pa.array([0.1, 2.5]), use_dictionary=False, column_encoding={"x": "BYTE_STREAM_SPLIT"}),
        [0.1, 2.5],
    ),
    "text that is not UTF-8": (
        TEXT, parquet(of_bytes(b"\xff\xfe", b"a", b"\xed\xa0\x80", kind=pa.string())),
        [Code.BAD_ENCODING, "a", Code.BAD_ENCODING],
    ),
    "binary": (TEXT, parquet(pa.array(["é".encode(), b"\xff", None, b"a"])), ["é", Code.BAD_ENCODING, None, "a"]),
    "large binary": (TEXT, parquet(pa.array(["é".encode(), b"\xff"], pa.large_binary())), ["é", Code.BAD_ENCODING]),
    "fixed binary": (
        TEXT, parquet(pa.array(["café123".encode(), b"\xff" * 8, b"a" + b"\0" * 7], pa.binary(8))),
        ["café123", Code.BAD_ENCODING, Code.BAD_TEXT],
    ),
    "binary of digits": (
        Column("x", ColumnType.INTEGER), parquet(pa.array([b"12", b"\xff", b"x"])),
        [12, Code.BAD_ENCODING, Code.BAD_INTEGER],
    ),
    "binary json": (JSON, parquet(pa.array(['{"a": "é"}'.encode(), b"\xff"])), ['{"a": "é"}', Code.BAD_ENCODING]),
    "uuid": (
        Column("x", ColumnType.UUID),
        parquet(pa.ExtensionArray.from_storage(pa.uuid(), pa.array([A_UUID.bytes], pa.binary(16))), store_schema=False),
        [str(A_UUID)],
    ),
    "times of day": (
        TEXT, parquet(pa.array([0, 86_399_999_999_999, 86_400 * 10**9], pa.int64()).cast(pa.time64("ns"))),
        ["00:00:00", "23:59:59.999999999", Code.OUT_OF_RANGE],
    ),
    "durations": (
        TEXT, parquet(pa.array([1, -3_600 * 10**9, 90_061 * 10**9 + 500], pa.int64()).cast(pa.duration("ns"))),
        ["00:00:00.000000001", "-01:00:00", "25:01:01.0000005"],
    ),
    "moments as text": (
        TEXT, parquet(moments(pa.timestamp("ns"), -1, 10**9, 1_500_000_000)),
        ["1969-12-31 23:59:59.999999999", "1970-01-01 00:00:01", "1970-01-01 00:00:01.5"],
    ),
    "moments with a zone as text": (
        TEXT, parquet(moments(pa.timestamp("ns", "UTC"), -1, 10 * 10**9)),
        ["1969-12-31 23:59:59.999999999+00", "1970-01-01 00:00:10+00"],
    ),
    "nanoseconds into a date": (
        Column("x", ColumnType.DATE), parquet(moments(pa.timestamp("ns"), 0, 1)), [dt.date(1970, 1, 1), Code.BAD_DATE],
    ),
}  # fmt: skip


@pytest.mark.parametrize("slow", [False, True], ids=["either path", "slow path"])
@pytest.mark.parametrize(("column", "content", "values"), BOTH.values(), ids=list(BOTH))
def test_parquet_values_are_those_of_csv_on_both_paths(
    stages, column: Column, content: bytes, values: list[object], *, slow: bool
) -> None:
    found = loaded(stages, stages.contract_of, column, content, slow=slow)
    assert [found[at] for at in sorted(found)] == values


STRUCT = pa.struct([("f", pa.float32()), ("d", pa.decimal128(38, 18)), ("b", pa.binary()),
                    ("t", pa.timestamp("ns", "UTC")), ("u", pa.uint64()), ("l", pa.list_(pa.float32()))])  # fmt: skip
NESTED: dict[str, tuple[pa.Array, list[object]]] = {
    "leaves of every type": (
        pa.array([{"f": 0.1, "d": D("12345678901234567890.123456789"), "b": "é".encode(), "t": -1, "u": 2**64 - 1,
                   "l": [0.1, None]}, None], STRUCT),
        ['{"f":0.1,"d":12345678901234567890.123456789000000000,"b":"é","t":"1969-12-31 23:59:59.999999999+00",'
         '"u":18446744073709551615,"l":[0.1,null]}', None],
    ),
    "list": (pa.array([["a"], None, [], [None]]), ['["a"]', None, "[]", "[null]"]),
    "list of fixed size": (pa.array([[1, 2], [3, 4]], pa.list_(pa.int64(), 2)), ["[1,2]", "[3,4]"]),
    "large list of binary": (
        pa.array([[b"a"], [b"\xff", b"b"], None], pa.large_list(pa.binary())), ['["a"]', Code.BAD_ENCODING, None],
    ),
    "list of text that is not UTF-8": (
        pa.ListArray.from_arrays([0, 1, 2], of_bytes(b"\xff", b"b", kind=pa.string())), [Code.BAD_ENCODING, '["b"]'],
    ),
    "map": (
        pa.array([[("é", 0.1)], None, []], pa.map_(pa.string(), pa.float32())), ['{"é":0.1}', None, "{}"],
    ),
    "map with a key twice": (
        pa.array([[("k", D("1.5")), ("k", D("2.5"))]], pa.map_(pa.string(), pa.decimal128(5, 1))), ['{"k":2.5}'],
    ),
    "list of decimal256": (pa.array([[D("1.50")]], pa.list_(pa.decimal256(50, 2))), ["[1.50]"]),
    "list of decimals of few digits": (
        pa.array([[D("1.10"), D("100.00")]], pa.list_(pa.decimal128(5, 2))), ["[1.10,100.00]"],
    ),
    "map of whole decimals": (
        pa.array([[("k", D("100"))]], pa.map_(pa.string(), pa.decimal128(10, 0))), ['{"k":100}'],
    ),
    "structure of decimals of 32 bits": (
        pa.array([{"d": D("1.10")}], pa.struct([("d", pa.decimal32(5, 2))])), ['{"d":1.10}'],
    ),
    "list of decimals without a digit before the point": (
        pa.array([[D("0.5")], [D("-0.1")]], pa.list_(pa.decimal128(16, 16))),
        ["[0.5000000000000000]", "[-0.1000000000000000]"],
    ),
    "list of decimals of 38 digits behind the point": (
        pa.array([[D("0.5")]], pa.list_(pa.decimal128(38, 38))), ["[0.5" + "0" * 37 + "]"],
    ),
    "list of moments beyond the last count": (
        pa.array([[0], [2**62], [0, -2**62], None], pa.list_(pa.timestamp("ms"))),
        ['["1970-01-01 00:00:00"]', Code.OUT_OF_RANGE, Code.OUT_OF_RANGE, None],
    ),
    "structure of days beyond the last count": (
        pa.array([{"d": 2**31 - 1}, {"d": 0}, None], pa.struct([("d", pa.int32())])).cast(
            pa.struct([("d", pa.date32())])
        ),
        [Code.OUT_OF_RANGE, '{"d":"1970-01-01"}', None],
    ),
    "map whose key is beyond the last count": (
        pa.array([[(2**63 - 1, 1)], [(0, 1)]], pa.map_(pa.timestamp("us"), pa.int64())),
        [Code.OUT_OF_RANGE, '{"1970-01-01 00:00:00":1}'],
    ),
    "no number": (pa.array([[float("nan")], [1.0]]), [Code.BAD_JSON, "[1.0]"]),
}  # fmt: skip


@pytest.mark.parametrize(("array", "values"), NESTED.values(), ids=list(NESTED))
def test_parquet_nested_values_are_exact_json_or_refuse_their_row(
    stages, contract_of, array: pa.Array, values: list[object]
) -> None:
    found = loaded(stages, contract_of, JSON, parquet(array))
    assert [found[at] for at in sorted(found)] == values
    assert all(
        json.loads(value) is not None for value in found.values() if isinstance(value, str) and value[:1] in "[{"
    )


@pytest.mark.parametrize("mode", [UnknownColumns.RESCUE, UnknownColumns.EVOLVE], ids=str)
def test_parquet_moment_beyond_the_last_count_refuses_its_row_where_it_is_kept(
    stages, contract_of, mode: UnknownColumns
) -> None:
    contract = contract_of(KEY, unknown_columns=mode)
    validated = stages.validate(contract, parquet(moments(pa.timestamp("ms"), 2**62, 0, -(2**62))))
    assert [(reject.source_row, reject.code) for reject in validated.rejects.first] == [
        (1, Code.OUT_OF_RANGE), (3, Code.OUT_OF_RANGE),
    ]  # fmt: skip
    assert validated.rows_read - validated.rejects.rows == 1


def test_parquet_seconds_beyond_the_last_count_of_microseconds_are_unwritable() -> None:
    last, first = LAST_COUNT // 10**6, FIRST_COUNT // 10**6
    assert _exact(moments(pa.timestamp("s"), last, first)).cast(pa.int64()).to_pylist() == [last * 10**6, first * 10**6]
    for count in (last + 1, first - 1, 2**62, -(2**63)):
        with pytest.raises(UnwritableError):
            _exact(moments(pa.timestamp("s"), count))


def int96(*moments_of_two: tuple[int, int], inside: str = "") -> bytes:
    """A file of INT96, each as nanoseconds and Julian day; `inside` a list, a structure or a map."""
    sink, days = io.BytesIO(), range(1_000_000, 1_000_000 + len(moments_of_two))
    x = pa.array([day * 86_400 * 10**6 for day in days], pa.timestamp("us"))
    ones = pa.array(range(len(x) + 1), pa.int32())
    match inside:
        case "list":
            x = pa.ListArray.from_arrays(ones, x)
        case "structure":
            x = pa.StructArray.from_arrays([x], names=["k"])
        case "map":
            x = pa.MapArray.from_arrays(ones, pa.array(["k"] * len(x)), x)
    table = pa.table({"id": pa.array(range(1, len(x) + 1)), "x": x})
    pq.write_table(
        table, sink, use_deprecated_int96_timestamps=True, use_dictionary=False, compression="none",
        write_statistics=False,
    )  # fmt: skip
    body = sink.getvalue()
    for day, (nanoseconds, julian) in zip(days, moments_of_two, strict=True):
        written = struct.pack("<qi", 0, 2_440_588 + day)
        assert body.count(written) == 1
        body = body.replace(written, struct.pack("<qi", nanoseconds, julian))
    return body


# Days that wrap around to 1970, the last day that microseconds hold and the first they do not, and the last of all.
INT96 = ((1_500, 2_440_589), (1, 215_944_670), (0, 109_192_579), (0, 109_192_580), (0, 2**31 - 1), (0, -(2**31)))


@pytest.mark.parametrize("slow", [False, True], ids=["either path", "slow path"])
def test_parquet_int96_that_wraps_around_refuses_its_row(stages, contract_of, *, slow: bool) -> None:
    found = loaded(stages, contract_of, TIMESTAMP, int96(*INT96), slow=slow)
    assert found == {
        1: dt.datetime(1970, 1, 2, 0, 0, 0, 1), 3: Code.BAD_TIMESTAMP,  # noqa: DTZ001
        **dict.fromkeys((2, 4, 5, 6), Code.OUT_OF_RANGE),
    }  # fmt: skip
    found = loaded(stages, contract_of, TEXT, int96(*INT96), slow=slow)
    assert found == {
        1: "1970-01-02 00:00:00.000001", 3: "294247-01-10 00:00:00",
        **dict.fromkeys((2, 4, 5, 6), Code.OUT_OF_RANGE),
    }  # fmt: skip


@pytest.mark.parametrize("inside", ["list", "structure", "map"])
def test_parquet_nested_int96_that_wraps_around_refuses_its_row(stages, contract_of, inside: str) -> None:
    content = int96((0, 2_440_589), (1, 215_944_670), (0, 2_440_590), inside=inside)
    found = loaded(stages, contract_of, JSON, content)
    assert found[2] is Code.OUT_OF_RANGE
    assert ["1970-01-02" in str(found[1]), "1970-01-03" in str(found[3])] == [True, True]


def test_parquet_int96_is_compared_row_by_row_whatever_batches_its_file_is_read_in() -> None:
    counts = pa.array([0, 1, 2, 3, 4, None, 6], pa.int64())
    times = counts.cast(pa.timestamp("us"))
    seconds = pa.array([0, 0, 2**44, 0, 2**44, None, 0], pa.int64()).cast(pa.timestamp("s"))
    batches = [pa.record_batch({"x": times[:3]}), pa.record_batch({"x": times[3:4]}), pa.record_batch({"x": times[4:]})]
    again = [
        pa.record_batch({"x": seconds[:1]}),
        pa.record_batch({"x": seconds[1:6]}),
        pa.record_batch({"x": seconds[6:]}),
    ]
    read = pa.Table.from_batches(without_wrapped(iter(batches), iter(again)))
    last = 2**63 - 1
    assert read["x"].cast(pa.int64()).to_pylist() == [0, 1, last, 3, last, None, 6]


LEAVES: dict[pa.DataType, list[object]] = {
    pa.bool_(): [True, False],
    pa.int8(): [-1],
    pa.int64(): [-(2**63)],
    pa.uint64(): [2**64 - 1],
    pa.float16(): [0.5],
    pa.float32(): [0.1, 1e20, 16777216.0, -0.0],
    pa.float64(): [1e16, 1e15, 1e-5, 5e-324, 2.0, float("nan"), float("-inf")],
    pa.string(): ['é"\\/\u0001\u001f\x7f\u2028', "", "a\tb\n"],
    pa.large_string(): ["x"],
    pa.binary(): ["é".encode()],
    pa.binary(2): [b"ab"],
    pa.dictionary(pa.int32(), pa.string()): ["a"],
    pa.date32(): [dt.date(2026, 1, 31), dt.date(1, 1, 1)],
    pa.date64(): [dt.date(2026, 1, 31)],
    pa.timestamp("s"): [0, 253_402_300_800],
    pa.timestamp("us"): [1, -62_135_596_800_000_001],
    pa.timestamp("ns"): [1, 10**9],
    pa.timestamp("ms", "Europe/Berlin"): [0, 253_402_300_800_000],
    pa.timestamp("ns", "UTC"): [1],
    pa.time32("ms"): [5],
    pa.time64("ns"): [5, 1_000],
    pa.duration("us"): [5],
    pa.decimal128(30, 2): [D("1.10"), D("-0.50")],
    pa.decimal128(5, 2): [D("1.10")],
    pa.decimal128(9, 9): [D("0.5")],
    pa.decimal32(5, 2): [D("1.10")],
    pa.decimal64(12, 2): [D("1.10")],
    pa.list_(pa.int64()): [[1, 2], []],
    pa.struct([("a", pa.int64()), ("b", pa.string())]): [{"a": 1, "b": "x y"}],
}


@pytest.mark.parametrize(("kind", "values"), LEAVES.items(), ids=str)
def test_parquet_nested_row_is_written_the_same_beside_any_rows(kind: pa.DataType, values: list) -> None:
    """If a map has a duplicate key, or a structure no fields, the whole batch is written differently."""
    leaf = pa.array(values, kind)
    texts = pa.array(["k"] * len(leaf))
    ones, offsets = pa.array([1] * len(leaf)), pa.array(range(len(leaf) + 1), pa.int32())
    columns = {
        "key": pa.MapArray.from_arrays(offsets, leaf, ones),
        "value": pa.MapArray.from_arrays(offsets, texts, leaf),
        "list": pa.ListArray.from_arrays(offsets, leaf),
        "struct": pa.StructArray.from_arrays([leaf], names=['a "b"']),
        "null": pa.nulls(len(leaf), pa.list_(kind)),
        "null inside": pa.ListArray.from_arrays(offsets, pa.nulls(len(leaf), kind)),
    }
    batch = pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))
    twice = pa.array([[("k", 1), ("k", 2)]] * len(leaf), pa.map_(pa.string(), pa.int64()))
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        alone = parquet_text(connection, batch, 1).table
        beside = parquet_text(connection, batch.append_column("twice", twice), 1).table
    assert beside[f"c{len(columns)}"].to_pylist() == ['{"k":2}'] * len(leaf)
    assert beside.select(alone.column_names).to_pylist() == alone.to_pylist()


def test_parquet_map_key_is_spelled_the_same_beside_a_map_that_has_a_key_twice(stages, contract_of) -> None:
    maps = pa.array([[(True, "a")], [(True, "a"), (True, "b")]], pa.map_(pa.bool_(), pa.string()))
    assert loaded(stages, contract_of, JSON, parquet(maps)) == {1: '{"true":"a"}', 2: '{"true":"b"}'}


def test_parquet_conversion_reads_slices_of_nested_columns() -> None:
    array = pa.array([[1.5], None, [2.5, None], []], pa.list_(pa.float32()))
    assert _exact(array.slice(2)).to_pylist() == [[2.5, None], []]
    structs = pa.array([{"a": [0.5]}, None, {"a": None}], pa.struct([("a", pa.list_(pa.float32()))]))
    assert _exact(structs.slice(1)).to_pylist() == [None, {"a": None}]


def test_parquet_bad_cell_refuses_its_row_and_names_the_column(stages, contract_of) -> None:
    validated = stages.validate(contract_of(KEY, TEXT), parquet(pa.array([b"a", b"\xff", b"b"])))
    (reject,) = validated.rejects.first
    assert (reject.source_row, reject.column, reject.code) == (2, "x", Code.BAD_ENCODING)
    assert reject.message == "x holds bytes that are not UTF-8; write text as UTF-8."
    assert json.loads(reject.raw) == {"id": 2, "x": None}


@pytest.mark.parametrize(
    ("mode", "codes"), [(UnknownColumns.IGNORE, []), (UnknownColumns.RESCUE, [Code.BAD_ENCODING])], ids=str
)
def test_parquet_bytes_of_an_unknown_column_refuse_a_row_only_where_they_are_kept(
    stages, contract_of, mode: UnknownColumns, codes: list[Code]
) -> None:
    contract = contract_of(KEY, unknown_columns=mode)
    validated = stages.validate(contract, parquet(pa.array([b"a", b"\xff"])))
    assert [reject.code for reject in validated.rejects.first] == codes


def test_parquet_page_that_does_not_match_its_checksum_refuses_the_file(stages, contract_of) -> None:
    body = bytearray(
        parquet(pa.array([100, 200, 300]), write_page_checksum=True, compression="none", use_dictionary=False)
    )
    at = body.index((200).to_bytes(8, "little"))
    body[at] = 136
    for slow in (False, True):
        refusal = stages.refusal(contract_of(KEY, Column("x", ColumnType.INTEGER)), bytes(body), slow=slow)
        assert refusal.code is Code.UNREADABLE_FILE
        assert "CRC checksum" in refusal.message


def test_parquet_delta_texts_are_read_a_few_rows_at_a_time(stages, contract_of, tmp_path: Path) -> None:
    """A value may repeat the whole value before it: a small file holds long texts."""
    from include.ingestion.readers.parquet_file import bounded_batches, open_parquet
    from include.settings import IngestSettings

    texts = pa.array(["x" * 100_000] * 2_000)
    path = tmp_path / "x.parquet"
    path.write_bytes(parquet(texts, use_dictionary=False, column_encoding={"x": "DELTA_BYTE_ARRAY"}))
    assert path.stat().st_size < 1_000_000
    with open_parquet(path) as file:
        sizes = [batch.nbytes for batch in bounded_batches(file, path, 65_536, 8 * 1024**2, IngestSettings())]
    assert len(sizes) > 10
    assert max(sizes) < 16 * 1024**2
