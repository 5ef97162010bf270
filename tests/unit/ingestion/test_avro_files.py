"""Avro container files: every codec, exact values, and damage anywhere refuses the file before a row is loaded."""

import io
import json
import struct
import zlib
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal

import fastavro
import pytest

from include.contracts.model import Column, ColumnType
from include.errors import Code
from include.ingestion.records import FileFormat
from include.settings import IngestSettings

pytestmark = pytest.mark.unit

COLUMNS = (
    Column("id", ColumnType.TEXT, required=True),
    Column("i", ColumnType.INTEGER),
    Column("n", ColumnType.NUMBER, precision=38, scale=10),
    Column("f", ColumnType.FLOAT),
    Column("b", ColumnType.BOOLEAN),
    Column("d", ColumnType.DATE),
    Column("tz", ColumnType.TIMESTAMPTZ),
    Column("j", ColumnType.JSON),
)
SCHEMA = {
    "type": "record",
    "name": "thing",
    "fields": [
        {"name": "id", "type": "string"},
        {"name": "i", "type": ["null", "long"]},
        {"name": "n", "type": ["null", {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 10}]},
        {"name": "f", "type": ["null", "float"]},
        {"name": "b", "type": ["null", "boolean"]},
        {"name": "d", "type": ["null", {"type": "int", "logicalType": "date"}]},
        {"name": "tz", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}]},
        {"name": "j", "type": ["null", {"type": "map", "values": "long"}]},
    ],
}
ROWS = [
    {
        "id": "1", "i": 2**63 - 1, "n": Decimal("1234567890123456789012345678.0123456789"), "f": 12.9, "b": True,
        "d": date(2026, 1, 2), "tz": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC), "j": {"a": 2**60},
    },
    {"id": "ä😀", "i": None, "n": None, "f": None, "b": None, "d": None, "tz": None, "j": None},
]  # fmt: skip
CODECS = ("null", "deflate", "bzip2", "xz", "snappy", "zstandard")


@pytest.fixture
def contract(contract_of):
    return contract_of(*COLUMNS)


def avro(rows: list[dict] = ROWS, schema: dict = SCHEMA, codec: str = "null", sync_interval: int = 16_000) -> bytes:
    target = io.BytesIO()
    fastavro.writer(target, schema, rows, codec=codec, sync_interval=sync_interval, sync_marker=b"m" * 16)
    return target.getvalue()


def numbered(count: int, codec: str = "null") -> bytes:
    rows = [{**ROWS[1], "id": str(at), "i": at} for at in range(count)]
    return avro(rows, codec=codec, sync_interval=200)


@pytest.mark.parametrize("codec", CODECS)
def test_every_codec_gives_exact_values(stages, contract, codec: str) -> None:
    validated = stages.validate(contract, avro(codec=codec))
    assert (validated.layout.format, validated.rows_read, validated.rejects.rows) == (FileFormat.AVRO, 2, 0)
    first, second = stages.processed(contract, validated)
    assert {name: first[name] for name in ROWS[0]} == {**ROWS[0], "j": '{"a":1152921504606846976}'}
    assert {name: second[name] for name in ROWS[1]} == ROWS[1]


def test_rows_equal_those_of_csv(stages, contract) -> None:
    csv = (
        "id,i,n,f,b,d,tz,j\n"
        '1,9223372036854775807,1234567890123456789012345678.0123456789,12.9,true,2026-01-02,'
        '2026-01-02T03:04:05.678901Z,"{""a"":1152921504606846976}"\nä😀,,,,,,,\n'
    )  # fmt: skip
    assert stages.rows(contract, avro()) == stages.rows(contract, csv.encode())


def test_a_bad_value_refuses_its_row_with_the_number_of_the_record(stages, contract) -> None:
    rows = [{**ROWS[1], "id": "1"}, {**ROWS[1], "id": ""}, {**ROWS[1], "id": "3"}]
    validated = stages.validate(contract, avro(rows))
    found = [(one.source_row, one.source_line, one.column, one.code) for one in validated.rejects.first]
    assert found == [(2, 2, "id", Code.MISSING_VALUE)]


def test_a_value_that_no_date_has_refuses_its_record_only(stages, contract) -> None:
    """The reader knows where the record ends, so the others are read."""
    days = [{"name": "id", "type": "string"}, {"name": "d", "type": "int"}]
    body = avro([{"id": str(at), "d": day} for at, day in enumerate((1, 2**31 - 1, 2))], {**SCHEMA, "fields": days})
    dated = json.dumps({"type": "int", "logicalType": "date"})
    schema = _header_schema(body)
    body = _with_schema(
        body, schema.replace('"type":"int"', f'"type":{dated}').replace('"type": "int"', f'"type": {dated}')
    )
    validated = stages.validate(contract, body)
    assert [(one.source_row, one.code) for one in validated.rejects.first] == [(2, Code.BAD_AVRO)]
    assert [row["d"] for row in stages.processed(contract, validated)] == [date(1970, 1, 2), date(1970, 1, 3)]


def test_text_that_is_not_utf_8_refuses_its_record_only(stages, contract) -> None:
    rows = [{**ROWS[1], "id": text} for text in ("a", "XXXX", "c")]
    validated = stages.validate(contract, avro(rows).replace(b"XXXX", b"\xff\xfe\xc3\x28"))
    assert [(one.source_row, one.code) for one in validated.rejects.first] == [(2, Code.BAD_AVRO)]
    assert [row["id"] for row in stages.processed(contract, validated)] == ["a", "c"]


def _header_schema(body: bytes) -> str:
    return json.dumps(fastavro.reader(io.BytesIO(body)).writer_schema)


def _with_schema(body: bytes, schema: str) -> bytes:
    """The file with another schema in its header."""
    blocks = body[body.index(b"m" * 16) + 16 :]
    return header({"avro.schema": schema.encode(), "avro.codec": b"null"}) + blocks


def header(values: dict[str, bytes]) -> bytes:
    entries = b"".join(
        number(len(part)) + part for key, value in values.items() for part in (key.encode(), value)
    )  # fmt: skip
    return b"Obj\x01" + number(len(values)) + entries + b"\0" + b"m" * 16


def number(value: int) -> bytes:
    value, data = (value << 1) ^ (value >> 63), b""
    while value > 0x7F:
        data, value = data + bytes([value & 0x7F | 0x80]), value >> 7
    return data + bytes([value])


@pytest.mark.parametrize("codec", CODECS)
def test_a_file_cut_anywhere_is_refused(stages, contract, codec: str) -> None:
    body = numbered(100, codec)
    blocks = [at for at in range(len(body)) if body.startswith(b"m" * 16, at)]
    assert len(blocks) > 5
    ends = {at + 16 for at in blocks}  # between two blocks a cut cannot be seen: the format has no end mark
    for cut in {10, 40, *(at + 20 for at in blocks[1:3]), len(body) - 1, len(body) - 17, len(body) // 2}:
        if cut not in ends:
            refusal = stages.refusal(contract, body[:cut])
            assert refusal.code is Code.TRUNCATED_FILE, cut


@pytest.mark.parametrize("codec", CODECS[1:])
def test_a_damaged_block_refuses_the_file(stages, contract, codec: str) -> None:
    body = bytearray(numbered(100, codec))
    at = body.rindex(b"m" * 16) - 12
    body[at] ^= 0xFF
    assert stages.refusal(contract, bytes(body)).code is Code.UNREADABLE_FILE


def block(count: int, data: bytes) -> bytes:
    return number(count) + number(len(data)) + data + b"m" * 16


ID = {"avro.schema": b'{"type":"record","name":"t","fields":[{"name":"id","type":"string"}]}'}
NOTHING = {"avro.schema": b'{"type":"record","name":"t","fields":[{"name":"id","type":"null"}]}'}


def snappy_bomb() -> bytes:
    """A block that says it expands to 2 GB."""
    return b"\xff\xff\xff\xff\x07" + b"\0" * 10 + struct.pack(">I", 0)


HOSTILE: dict[str, tuple[Callable[[], bytes], Code]] = {
    "no-schema": (lambda: header({"x": b"y"}), Code.UNREADABLE_FILE),
    "broken-schema": (lambda: header({"avro.schema": b"{"}), Code.UNREADABLE_FILE),
    "schema-of-no-record": (lambda: header({"avro.schema": b'"string"'}), Code.UNREADABLE_FILE),
    "recursive-schema": (
        lambda: header({"avro.schema": b'{"type":"record","name":"t","fields":[{"name":"x","type":"t"}]}'}),
        Code.UNREADABLE_FILE,
    ),
    "unknown-codec": (lambda: header({**ID, "avro.codec": b"brotli"}), Code.UNREADABLE_FILE),
    "records-of-no-bytes": (lambda: header(NOTHING) + block(10**12, b""), Code.UNREADABLE_FILE),
    "more-records-than-bytes": (lambda: header(ID) + block(10**12, b"\x02a"), Code.UNREADABLE_FILE),
    "fewer-records-than-bytes": (lambda: header(ID) + block(1, b"\x02a\x02b"), Code.UNREADABLE_FILE),
    "negative-count": (lambda: header(ID) + block(-1, b"\x02a"), Code.UNREADABLE_FILE),
    "other-marker": (lambda: header(ID) + block(1, b"\x02a")[:-1] + b"x", Code.UNREADABLE_FILE),
    "long-text": (lambda: header(ID) + block(1, number(2**40) + b"a"), Code.UNREADABLE_FILE),
    "endless-number": (lambda: header(ID) + b"\xff" * 20, Code.UNREADABLE_FILE),
    "deflate-bomb": (
        lambda: header({**ID, "avro.codec": b"deflate"}) + block(1, zlib.compress(bytes(5_000_000), wbits=-15)),
        Code.TOO_LARGE,
    ),
    "snappy-bomb": (lambda: header({**ID, "avro.codec": b"snappy"}) + block(1, snappy_bomb()), Code.TOO_LARGE),
    "deflate-tail": (
        lambda: header({**ID, "avro.codec": b"deflate"}) + block(1, zlib.compress(b"\x02a", wbits=-15) + b"long tail"),
        Code.UNREADABLE_FILE,
    ),
    "no-blocks": (lambda: header(ID), Code.NO_ROWS),
    "empty-block": (lambda: header(ID) + block(0, b""), Code.NO_ROWS),
}


@pytest.mark.parametrize(("body", "code"), HOSTILE.values(), ids=list(HOSTILE))
def test_hostile_files_are_refused(stages, contract, body: Callable[[], bytes], code: Code) -> None:
    settings = IngestSettings(max_expansion_ratio=20, expansion_free_bytes=200_000)
    assert stages.refusal(contract, body(), settings).code is code


def test_metadata_may_come_in_several_parts(stages, contract) -> None:
    """A negative count is followed by the size of the entries."""
    entry = number(len(b"avro.schema")) + b"avro.schema" + number(len(ID["avro.schema"])) + ID["avro.schema"]
    body = b"Obj\x01" + number(-1) + number(len(entry)) + entry + b"\0" + b"m" * 16 + block(2, b"\x02a\x02b")
    assert [row["id"] for row in stages.rows(contract, body)] == ["a", "b"]
