"""ORC and Arrow's files take the path of Parquet: same values, bounded memory, damage refused."""

import io
import json
import struct
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import feather, orc

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.readers import arrow_file
from include.ingestion.readers.columnar import open_columnar
from include.ingestion.readers.nested_columns import PlacedColumns
from include.ingestion.readers.parquet_text import raw_texts
from include.ingestion.records import FileFormat, Layout
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

COLUMNS = (
    Column("id", ColumnType.TEXT, required=True),
    Column("i", ColumnType.INTEGER),
    Column("n", ColumnType.NUMBER, precision=20, scale=4),
    Column("f", ColumnType.FLOAT),
    Column("b", ColumnType.BOOLEAN),
    Column("d", ColumnType.DATE),
    Column("ts", ColumnType.TIMESTAMP),
    Column("tz", ColumnType.TIMESTAMPTZ),
)
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
TABLE = pa.table(
    {
        "id": pa.array(["1", "ä😀", "3"]),
        "i": pa.array([2**63 - 1, None, -5]),
        "n": pa.array([Decimal("1234567890123456.7891"), None, Decimal("0.1000")], pa.decimal128(20, 4)),
        "f": pa.array([0.1, None, 1e300]),
        "b": pa.array([True, None, False]),
        "d": pa.array([date(2026, 1, 2), None, date(9999, 12, 31)]),
        "ts": pa.array([MOMENT.replace(tzinfo=None), None, datetime(1970, 1, 1)], pa.timestamp("us")),  # noqa: DTZ001
        "tz": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", "UTC")),
    }
)


@pytest.fixture
def contract(contract_of):
    return contract_of(*COLUMNS)


def as_orc(table: pa.Table = TABLE, **options: object) -> bytes:
    target = io.BytesIO()
    orc.write_table(table, target, **options)
    return target.getvalue()


def as_file(table: pa.Table = TABLE, **options: object) -> bytes:
    return _ipc(pa.ipc.new_file, table, **options)


def as_stream(table: pa.Table = TABLE, **options: object) -> bytes:
    return _ipc(pa.ipc.new_stream, table, **options)


def _ipc(new: Callable, table: pa.Table, compression: str | None = None, rows: int | None = None) -> bytes:
    target = io.BytesIO()
    with new(target, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return target.getvalue()


def as_feather(table: pa.Table = TABLE, **options: object) -> bytes:
    target = io.BytesIO()
    feather.write_feather(table, target, **options)
    return target.getvalue()


def as_parquet(table: pa.Table) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target)
    return target.getvalue()


FILES: dict[str, tuple[Callable[[], bytes], FileFormat]] = {
    "orc": (as_orc, FileFormat.ORC),
    "orc-zstd": (lambda: as_orc(compression="zstd"), FileFormat.ORC),
    "orc-snappy": (lambda: as_orc(compression="snappy"), FileFormat.ORC),
    "arrow-file": (as_file, FileFormat.ARROW),
    "arrow-file-zstd": (lambda: as_file(compression="zstd", rows=1), FileFormat.ARROW),
    "arrow-stream": (as_stream, FileFormat.ARROW),
    "arrow-stream-lz4": (lambda: as_stream(compression="lz4", rows=2), FileFormat.ARROW),
    "feather-2": (as_feather, FileFormat.ARROW),
    "feather-2-uncompressed": (lambda: as_feather(compression="uncompressed"), FileFormat.ARROW),
    "feather-2-of-dictionaries": (
        lambda: as_feather(TABLE.set_column(0, "id", TABLE["id"].dictionary_encode())), FileFormat.ARROW,
    ),
    "arrow-of-views": (
        lambda: as_file(TABLE.set_column(0, "id", TABLE["id"].cast(pa.string_view()))), FileFormat.ARROW,
    ),
}  # fmt: skip


@pytest.mark.parametrize("slow", [False, True], ids=["fast", "slow"])
@pytest.mark.parametrize(("body", "kind"), FILES.values(), ids=list(FILES))
def test_rows_equal_those_of_parquet(
    stages, contract, body: Callable[[], bytes], kind: FileFormat, *, slow: bool
) -> None:
    validated = stages.validate(contract, body(), slow=slow)
    assert (validated.layout.format, validated.path_taken) == (kind, "slow" if slow else "fast")
    assert stages.processed(contract, validated) == stages.rows(contract, as_parquet(TABLE))


@pytest.mark.parametrize("write", [as_orc, as_file, as_stream], ids=["orc", "file", "stream"])
def test_bad_rows_are_refused_with_their_values(stages, contract, write: Callable) -> None:
    body = write(pa.table({"id": ["1", None, "3"], "i": ["5", "6", "x"]}))
    validated = stages.validate(contract, body)
    assert [(one.source_row, one.column, one.code, one.raw) for one in validated.rejects.first] == [
        (2, "id", Code.MISSING_VALUE, '{"id":null,"i":"6"}'),
        (3, "i", Code.BAD_INTEGER, '{"id":"3","i":"x"}'),
    ]


@pytest.mark.parametrize("write", [as_orc, as_file, as_stream], ids=["orc", "file", "stream"])
def test_conflicting_duplicates_are_found_with_their_values(stages, contract, write: Callable) -> None:
    """The rows are read again by their numbers."""
    body = write(pa.table({"id": ["1", "2", "1"], "i": [5, 6, 7]}))
    validated = stages.validate(contract, body)
    assert [(one.source_row, one.code) for one in validated.rejects.first] == [
        (1, Code.CONFLICTING_DUPLICATE),
        (3, Code.CONFLICTING_DUPLICATE),
    ]
    assert validated.rejects.first[1].raw == '{"id":"1","i":7}'


WRITERS = {"orc": as_orc, "file": as_file, "stream": as_stream, "lz4": lambda: as_stream(compression="lz4")}


@pytest.mark.parametrize("write", WRITERS.values(), ids=list(WRITERS))
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_a_file_that_is_cut_off_is_refused(stages, contract, write: Callable[[], bytes], share: float) -> None:
    body = write()
    refusal = stages.refusal(contract, body[: int(len(body) * share)])
    assert refusal.code in {Code.TRUNCATED_FILE, Code.UNREADABLE_FILE, Code.UNKNOWN_FORMAT}
    assert refusal.code is Code.TRUNCATED_FILE or write is not as_file


def test_a_stream_without_its_end_mark_is_refused(stages, contract) -> None:
    refusal = stages.refusal(contract, as_stream(rows=1)[:-8])
    assert refusal.code is Code.TRUNCATED_FILE


def test_a_stream_with_another_behind_it_is_refused(stages, contract) -> None:
    refusal = stages.refusal(contract, as_stream() + as_stream())
    assert (refusal.code, "follow the end" in refusal.message) == (Code.UNREADABLE_FILE, True)


def test_a_timestamp_that_orc_cannot_hand_over_refuses_the_file(stages, contract) -> None:
    """Arrow reads ORC's timestamps as nanoseconds, which end in 2262."""
    far = pa.array([datetime(9999, 12, 31)], pa.timestamp("us"))  # noqa: DTZ001
    refusal = stages.refusal(contract, as_orc(pa.table({"id": ["1"], "ts": far})))
    assert (refusal.code, "out of range" in refusal.message) == (Code.UNREADABLE_FILE, True)


# Memory

LIMITS = IngestSettings(max_expansion_ratio=20, expansion_free_bytes=200_000)
LONG = pa.DictionaryArray.from_arrays(pa.array([0] * 20_000, pa.int32()), pa.array(["x" * 10_000]))


def long_texts() -> pa.Table:
    return pa.table({"id": [str(at) for at in range(20_000)], "t": LONG})


BOMBS: dict[str, Callable[[], bytes]] = {
    "orc": lambda: as_orc(pa.table({"id": ["x" * 1_000] * 20_000}), dictionary_key_size_threshold=1.0),
    "file": lambda: as_file(long_texts()),
    "stream": lambda: as_stream(long_texts(), compression="zstd"),
    "zstd": lambda: as_stream(pa.table({"id": ["x" * 1_000] * 2_000}), compression="zstd"),
    "rows-without-bytes": lambda: as_stream(pa.table({"n": pa.nulls(100_000_000)})),
}  # fmt: skip


@pytest.mark.parametrize("body", BOMBS.values(), ids=list(BOMBS))
def test_what_expands_too_much_is_refused(stages, contract_of, body: Callable[[], bytes]) -> None:
    contract = contract_of(Column("id", ColumnType.TEXT), Column("t", ColumnType.TEXT))
    assert stages.refusal(contract, body(), LIMITS).code is Code.TOO_LARGE


@pytest.mark.parametrize("kind", [FileFormat.ARROW, FileFormat.ORC])
def test_batches_of_long_texts_are_small(tmp_path, kind: FileFormat) -> None:
    path = tmp_path / "x"
    table = long_texts().slice(0, 1_000)
    if kind is FileFormat.ORC:
        path.write_bytes(as_orc(table.set_column(1, "t", table["t"].cast(pa.string()))))
    else:
        path.write_bytes(as_file(table))
    with open_columnar(path, Layout(kind), IngestSettings()) as file:
        batches = list(file.batches(65_536, 3_000_000))
    assert sum(batch.num_rows for batch in batches) == 1_000
    assert max(batch.nbytes for batch in batches) < 3_200_000


def test_a_batch_that_says_it_is_large_is_refused_before_it_is_expanded(stages, contract, monkeypatch) -> None:
    monkeypatch.setattr(arrow_file, "_MOST_MESSAGE_BYTES", 100_000)
    refusal = stages.refusal(contract, as_stream(pa.table({"id": ["x" * 1_000] * 2_000}), compression="zstd"))
    assert (refusal.code, "smaller parts" in refusal.remedy) == (Code.TOO_LARGE, True)


UNREAD = {
    "run-ends": pa.RunEndEncodedArray.from_arrays(pa.array([2**31 - 1], pa.int32()), pa.array(["x"])),
    "list-view": pa.array([["x"]], pa.list_view(pa.string())),
    "dictionary-inside": pa.array([["x"]], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
    "view-inside": pa.array([["x"]], pa.list_(pa.string_view())),
    "union": pa.UnionArray.from_dense(pa.array([0], pa.int8()), pa.array([0], pa.int32()), [pa.array(["x"])]),
}


@pytest.mark.parametrize("column", UNREAD.values(), ids=list(UNREAD))
def test_types_whose_size_is_unknown_are_refused(stages, contract, column: pa.Array) -> None:
    column = column.slice(0, 1)
    body = as_stream(pa.Table.from_batches([pa.RecordBatch.from_arrays([pa.array(["1"]), column], ["id", "x"])]))
    refusal = stages.refusal(contract, body)
    assert (refusal.code, "is not read here" in refusal.message) == (Code.UNREADABLE_FILE, True)


def test_offsets_beyond_a_buffer_are_refused(stages, contract) -> None:
    body = as_stream(pa.table({"id": ["aaaa", "bbbb", "cccc"]}))
    offsets = struct.pack("<iiii", 0, 4, 8, 12)
    assert body.count(offsets) == 1
    bad = body.replace(offsets, struct.pack("<iiii", 0, 4, 2**30, 12))
    assert stages.refusal(contract, bad).code is Code.UNREADABLE_FILE


@pytest.mark.parametrize("write", [as_file, as_stream], ids=["file", "stream"])
def test_many_small_batches_are_read_together(tmp_path, contract, write: Callable) -> None:
    """Each query over a batch has a fixed cost: a thousand batches of a row took minutes."""
    path = tmp_path / "x"
    path.write_bytes(write(pa.table({"id": [str(at) for at in range(1_000)]}), rows=1))
    with open_columnar(path, Layout(FileFormat.ARROW), IngestSettings()) as file:
        sizes = [len(batch) for batch in PlacedColumns(file, contract, 100).batches(400, 10_000_000)]
        assert sizes == [400, 400, 200]
        smaller = [batch.nbytes for batch in PlacedColumns(file, contract, 100).batches(400, 2_000)]
        assert max(smaller) <= 2_000


# What a reject shows of its row


ROWS = 4
STRUCTURE = pa.array([{"a": Decimal("1.10"), "b": [1]}, None, {"a": None, "b": []}, {"a": Decimal("0.00"), "b": None}],
                     pa.struct([("a", pa.decimal128(5, 2)), ("b", pa.list_(pa.int64()))]))  # fmt: skip
ODD = {
    "text": pa.array(['"', "ä", None, "\n"]),
    "view": pa.array(["x"] * ROWS, pa.string_view()),
    "bytes": pa.array([b"\xff", b"a", b"", None]),
    "interval": pa.array([(1, 2, 3)] * ROWS, pa.month_day_nano_interval()),
    "too far": pa.array([2**62, 0, 1, None], pa.timestamp("s")),
    "digits": pa.array([Decimal("1.50")] * ROWS, pa.decimal256(60, 2)),
    "no fields": pa.array([{}] * ROWS, pa.struct([])),
    "map": pa.array([[("a", 1), ("a", 2)], [("b", 1)], [], None], pa.map_(pa.string(), pa.int64())),
    "run ends": pa.RunEndEncodedArray.from_arrays(pa.array([ROWS], pa.int32()), pa.array(["x"])),
}


@pytest.mark.parametrize("name", ODD)
def test_text_of_a_row_depends_on_no_other_row(name: str) -> None:
    batch = pa.RecordBatch.from_arrays([STRUCTURE, ODD[name]], names=["s", 'o"dd'])
    with duckdb.connect() as connection:
        together = raw_texts(connection, batch, range(ROWS))
        assert [raw_texts(connection, batch, [at])[0] for at in range(ROWS)] == together
        assert raw_texts(connection, batch, [0, 2, 3]) == [together[0], *together[2:]]
    assert together[0].startswith('{"s":{"a":1.10,"b":[1]},"o\\"dd":')
    assert together[1].startswith('{"s":null,')
    expected = {"text": '"', "view": "x", "bytes": None, "digits": "1.50", "no fields": {}, "map": {"a": 2}}
    if name in expected:
        assert json.loads(together[0])['o"dd'] == expected[name]


@pytest.mark.parametrize("name", sorted(ODD.keys() - {"run ends"}))
@pytest.mark.parametrize("unknown", [UnknownColumns.IGNORE, UnknownColumns.RESCUE])
def test_rejects_show_columns_that_the_contract_does_not_take(
    stages, contract_of, name: str, unknown: UnknownColumns
) -> None:
    """The same text for a row refused by its cells, and for one refused by its key."""
    contract = contract_of(Column("id", ColumnType.INTEGER, required=True), Column("n", ColumnType.INTEGER),
                           unknown_columns=unknown)  # fmt: skip
    odd = pa.concat_arrays([ODD[name].slice(1, 1)] * ROWS)
    table = pa.table({"id": ["1", "1", "x", "2"], "n": [1, 2, 3, 4], "odd": odd})
    rejects = stages.validate(contract, as_file(table)).rejects.first
    assert [one.code for one in rejects] == [Code.CONFLICTING_DUPLICATE] * 2 + [Code.BAD_INTEGER]
    assert len({one.raw.partition('"odd"')[2] for one in rejects}) == 1
    assert name != "text" or rejects[2].raw == '{"id":"x","n":3,"odd":"ä"}'
