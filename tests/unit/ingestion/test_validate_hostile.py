"""Content made to exhaust its reader: refused with a code, in bounded memory, and the other rows load."""

import io
import struct
from collections.abc import Callable
from dataclasses import replace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from include.contracts.model import Column, ColumnType, UnknownColumns
from include.errors import Code
from include.ingestion.readers import parquet_file
from include.ingestion.readers.csv_text import CsvRecord
from include.ingestion.readers.json_text import ndjson_records
from include.ingestion.readers.json_values import MAX_JSON_DEPTH
from include.ingestion.readers.row_by_row import CHUNK_CHARACTERS, _next_records
from include.ingestion.readers.text_lines import RAW_SHOWN
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

COLUMNS = (Column("id", ColumnType.TEXT, required=True), Column("j", ColumnType.JSON))


def nested(depth: int) -> str:
    return '{"a":[' * (depth // 2) + "[]" * (depth % 2) + "]}" * (depth // 2)


@pytest.mark.parametrize("column", ["j", "unknown"])
@pytest.mark.parametrize("shape", ["ndjson", "document", "csv"])
def test_validate_refuses_the_rows_whose_json_is_nested_too_deep(stages, contract_of, shape: str, column: str) -> None:
    values = ["{}", nested(MAX_JSON_DEPTH + 1), nested(100_000), "[]"]
    if shape == "csv":
        quoted = (value.replace('"', '""') for value in values)
        content = f"id,{column}\n" + "".join(f'{row},"{value}"\n' for row, value in enumerate(quoted))
    else:
        rows = [f'{{"id": "{row}", "{column}": {value}}}' for row, value in enumerate(values)]
        content = "[" + ",".join(rows) + "]" if shape == "document" else "\n".join(rows)

    validated = stages.validate(contract_of(*COLUMNS), content.encode())

    # A text of an unknown CSV column stays a text.
    expected = [] if (shape, column) == ("csv", "unknown") else [(2, Code.BAD_JSON), (3, Code.BAD_JSON)]
    assert [(one.source_row, one.code) for one in validated.rejects.first] == expected
    assert validated.rows_read == 4


@pytest.mark.parametrize("shape", ["ndjson", "document"])
@pytest.mark.parametrize("depth", [400, 900])
def test_validate_checks_each_record_of_hundreds_of_levels_on_its_own(
    stages, contract_of, depth: int, shape: str
) -> None:
    names = ("t", "j", "unknown")
    rows = [f'{{"id": "{name}", "{name}": {nested(depth)}}}' for name in names] + ['{"id": "last"}']
    content = "[" + ",".join(rows) + "]" if shape == "document" else "\n".join(rows)
    contract = contract_of(*COLUMNS, Column("t", ColumnType.TEXT))

    validated = stages.validate(contract, content.encode())

    found = [(one.source_row, one.column, one.code) for one in validated.rejects.first]
    assert found == [(2, "j", Code.BAD_JSON), (3, None, Code.BAD_JSON)]
    kept = [(row["id"], row["t"]) for row in stages.processed(contract, validated)]
    assert kept == [("t", nested(depth)), ("last", None)]


def test_validate_keeps_json_as_deep_as_the_limit_and_wide_json(stages, contract_of) -> None:
    wide = "[" + ",".join(['{"[[{": "\\"]"}'] * 500) + "]"
    lines = f'{{"id": "1", "j": {nested(MAX_JSON_DEPTH)}}}\n{{"id": "2", "j": {wide}}}\n'
    contract = replace(contract_of(*COLUMNS), unknown_columns=UnknownColumns.REJECT)
    assert stages.validate(contract, lines.encode()).rejects.rows == 0


# What expands


def parquet(table: pa.Table) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, store_schema=False, compression="zstd")
    return target.getvalue()


def one_long_text(rows: int, length: int, **more: object) -> bytes:
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array(["x" * length]))
    return parquet(pa.table({"id": [str(row) for row in range(rows)], "t": texts, **more}))


def claiming(rows: int) -> bytes:
    """A file of a thousand rows whose footer claims `rows` rows (a Thrift varint: seven bits per byte)."""

    def number(value: int) -> bytes:
        value, written = value * 2, b""
        while value >= 0x80:
            written, value = written + bytes([value & 0x7F | 0x80]), value >> 7
        return written + bytes([value])

    content = parquet(pa.table({"id": ["a"] * 1_000}))
    length = struct.unpack("<I", content[-8:-4])[0]
    footer = content[-8 - length : -8].replace(number(1_000), number(rows))
    return content[: -8 - length] + footer + struct.pack("<I", len(footer)) + b"PAR1"


RATIO = {"max_expansion_ratio": 20, "expansion_free_bytes": 200_000}
BOMBS: dict[str, tuple[Callable[[], bytes], Code]] = {
    "zstd": (lambda: zstandard.compress(b"id,t\n" + b"1,x\n" * 100_000), Code.TOO_LARGE),
    "one text in many rows": (lambda: one_long_text(5_000, 10_000), Code.TOO_LARGE),
    "one text in many rows on the slow path": (lambda: one_long_text(5_000, 10_000, i=["x"] * 5_000), Code.TOO_LARGE),
    "one short text in many rows": (lambda: parquet(pa.table({"id": ["a"] * 500_000})), Code.TOO_LARGE),
    "footer of too many rows": (lambda: claiming(2**40), Code.UNREADABLE_FILE),
}


@pytest.mark.parametrize(("content", "code"), BOMBS.values(), ids=list(BOMBS))
def test_validate_refuses_what_expands_too_much(stages, contract_of, content: Callable[[], bytes], code: Code) -> None:
    refusal = stages.refusal(contract_of(), content(), IngestSettings(**RATIO))
    assert refusal.code is code


@pytest.mark.parametrize("content", ["csv", "parquet"])
def test_validate_applies_no_expansion_ratio_to_a_small_file(stages, contract_of, content: str) -> None:
    body = zstandard.compress(b"id\n" + b"a\n" * 10_000) if content == "csv" else one_long_text(10, 10_000)
    assert stages.validate(contract_of(), body, IngestSettings(**RATIO)).rejects.rows == 0


def test_batches_of_long_texts_have_few_rows(tmp_path) -> None:
    """A whole batch is in memory: a text that a dictionary holds once is there once per row."""
    path = tmp_path / "x.parquet"
    path.write_bytes(one_long_text(1_000, 10_000))
    with pq.ParquetFile(path) as file:
        batches = list(parquet_file.bounded_batches(file, path, 65_536, 100_000, IngestSettings()))
    assert sum(batch.num_rows for batch in batches) == 1_000
    assert max(batch.nbytes for batch in batches) < 150_000


def test_chunks_of_long_lines_have_few_rows(tmp_path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_bytes((b'{"id": "' + b"x" * 500_000 + b'"}\n') * 40)
    records = ndjson_records(path, 1_000_000)
    sizes = [len(chunk) for chunk in iter(lambda: _next_records(records), [])]
    assert sum(sizes) == 40
    assert max(sizes) <= CHUNK_CHARACTERS // 500_000 + 1


def test_chunks_of_long_csv_records_have_few_rows() -> None:
    records = iter([CsvRecord(line, [], "x" * 500_000) for line in range(40)])
    sizes = [len(chunk) for chunk in iter(lambda: _next_records(records), [])]
    assert sum(sizes) == 40
    assert max(sizes) <= CHUNK_CHARACTERS // 500_000 + 1


# Records and keys without an end

ENDLESS: dict[str, tuple[bytes, Code, int]] = {
    "CSV line": (b"id,t\n1," + b"x" * 2_000_000, Code.ROW_TOO_LONG, 1),
    "CSV line of commas": (b"id,t\n" + b"," * 2_000_000, Code.ROW_TOO_LONG, 1),
    "CSV header": (b"x" * 2_000_000, Code.ROW_TOO_LONG, 0),
    "CSV quote": (b'id,t\n1,"' + b"x" * 2_000_000, Code.ROW_TOO_LONG, 1),
    "JSON text": (b'[{"id":"' + b"x" * 2_000_000 + b'"}]', Code.ROW_TOO_LONG, 0),
    "NDJSON line": (b'{"id":"a"}\n{"id":"' + b"x" * 2_000_000 + b'"}\n', Code.ROW_TOO_LONG, 2),
    "keys over rows": (
        "\n".join(f'{{"id":"{at}","k{at}":1}}' for at in range(2_000)).encode(), Code.TOO_MANY_COLUMNS, 0
    ),
}  # fmt: skip


@pytest.mark.parametrize(("content", "code", "row"), ENDLESS.values(), ids=list(ENDLESS))
def test_validate_refuses_endless_records_and_keys(stages, contract_of, content: bytes, code: Code, row: int) -> None:
    """A small version of a line of 500 MB: the row is refused if the file has rows, else the file."""
    settings = IngestSettings(max_row_bytes=10_000)
    if row:
        rejects = stages.validate(contract_of(COLUMNS[0]), content, settings).rejects.first
        assert [(one.source_row, one.code) for one in rejects] == [(row, code)]
        assert len(rejects[0].raw) <= RAW_SHOWN
    else:
        refusal = stages.refusal(contract_of(COLUMNS[0]), content, settings)
        assert refusal.code is code
        assert len(refusal.message) < 500


@pytest.mark.parametrize("around", ["[%s]", "%s\n", '%s\n{"id":"a"}'], ids=["document", "object", "NDJSON"])
def test_validate_refuses_an_object_of_very_many_keys(stages, contract_of, around: str) -> None:
    content = around.replace("%s", "{" + ",".join(f'"k{at}":1' for at in range(500_000)) + "}").encode()
    contract, settings = contract_of(COLUMNS[0]), IngestSettings(engine_memory_mb=64)
    if around.startswith("["):
        assert stages.refusal(contract, content, settings).code is Code.ROW_TOO_LONG
    else:
        rejects = stages.validate(contract, content, settings).rejects.first
        assert [(one.source_row, one.code) for one in rejects] == [(1, Code.ROW_TOO_LONG)]
