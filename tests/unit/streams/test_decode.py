"""Any message is decoded to a line of JSON, or refused with a reason."""

from __future__ import annotations

import json
import pickle
import resource
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from io import BytesIO
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any
from uuid import UUID

import duckdb
import numpy as np
import pytest
from fastavro import parse_schema, schemaless_writer
from hypothesis import example, given, settings
from hypothesis import strategies as st

from include.contracts.reader import read_contract
from include.errors import Code
from include.ingestion.readers.avro_records import MAX_DEPTH, RecordError, RecordReader, SchemaRefusedError
from include.ingestion.readers.json_text import ndjson_records
from include.settings import CONTRACTS_DIR
from include.streams.avro_schema import avro_schema, schema_text
from include.streams.decode import Decoder, UndecodableError
from include.streams.registry import WriterSchema

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.unit

INVENTORY = read_contract(CONTRACTS_DIR / "inventory.yaml")


@dataclass
class FixedRegistry:
    """A registry with fixed schemas."""

    schemas: dict[int, WriterSchema] = field(default_factory=dict)

    def schema_of(self, schema_id: int) -> WriterSchema | None:
        return self.schemas.get(schema_id)

    def schema_by_guid(self, guid: str) -> WriterSchema | None:
        return self.schemas.get(UUID(guid).int)


def decoder_of(*schemas: Any) -> Decoder:
    """A decoder that knows the schemas under the ids 1, 2, ..."""
    known = {number: WriterSchema("AVRO", json.dumps(schema), False) for number, schema in enumerate(schemas, start=1)}
    return Decoder(FixedRegistry(known))  # type: ignore[arg-type]


def record(**fields: Any) -> dict[str, Any]:
    return {"type": "record", "name": "r", "fields": [{"name": name, "type": kind} for name, kind in fields.items()]}


def message(schema: Any, row: Any, schema_id: int = 1) -> bytes:
    stream = BytesIO()
    schemaless_writer(stream, parse_schema(schema), row)
    return envelope(stream.getvalue(), schema_id)


def envelope(body: bytes, schema_id: int = 1) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + body


def long(number: int) -> bytes:
    """A number in Avro's zigzag encoding."""
    remaining, encoded = (number << 1) ^ (number >> 63), b""
    while remaining > 0x7F:
        encoded += bytes([remaining & 0x7F | 0x80])
        remaining >>= 7
    return encoded + bytes([remaining])


def refusal(decoder: Decoder, value: bytes | None) -> UndecodableError:
    with pytest.raises(UndecodableError) as caught:
        decoder.decode(value)
    return caught.value


# JSON


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(b'{"a": 1, "b": "x"}', id="object"),
        pytest.param('{"name": "Søren 木 🙂"}'.encode(), id="not ascii"),
        pytest.param(b'  {"a":\t1} ', id="space around"),
        pytest.param(b'{"a": "one\\ntwo"}', id="escaped line break"),
        pytest.param(b'{"a": 12345678901234567890.123456789}', id="long number"),
        pytest.param(b'{"a": ', id="cut off"),
        pytest.param(b"hello", id="no json"),
        pytest.param(b'{"a": "\0"}', id="nul inside"),
        pytest.param("{\"a\": \"\u2028\x85\x0c\"}".encode(), id="other line ends"),
    ],
)  # fmt: skip
def test_one_line_of_text_is_not_changed(value: bytes) -> None:
    assert Decoder(None).decode(value) == value


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"], ids=["lf", "crlf", "cr"])
def test_json_over_several_lines_becomes_one_line_with_the_same_value(end: str) -> None:
    row = {"a": [1, {"b": "ü"}], "c": "one\ntwo\r"}
    text = json.dumps(row, indent=2, ensure_ascii=False).replace("\n", end) + end
    line = Decoder(None).decode(text.encode())
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == row


def test_line_break_inside_a_string_stays_an_error_for_validation() -> None:
    line = Decoder(None).decode(b'{"a": "one\ntwo"}')
    assert len(line.splitlines()) == 1
    assert duckdb.execute("SELECT json_valid(?)", [line.decode()]).fetchone() == (False,)


@pytest.mark.parametrize(
    "value",
    [None, b"", b"  \t\r\n ", b"\x1c\x1f", "\u3000\u00a0".encode(), b"\xef\xbb\xbf", b"\xef\xbb\xbf \n"],
    ids=["none", "empty", "space", "separators", "wide space", "byte order mark", "byte order mark and space"],
)
def test_empty_message_is_refused(value: bytes | None) -> None:
    assert refusal(Decoder(None), value).code is Code.EMPTY_MESSAGE


def test_byte_order_mark_is_dropped() -> None:
    assert Decoder(None).decode('\ufeff{"a": 1}'.encode()) == b'{"a": 1}'
    assert Decoder(None).decode('\ufeff\ufeff{"a": 1}'.encode()) == b'{"a": 1}'


@pytest.mark.parametrize(
    ("value", "message"),
    [
        pytest.param(b'{"a": "caf\xe9"}', "Byte 0xe9 at position 11 of 13 is not UTF-8.", id="latin-1"),
        pytest.param('{"a": 1}'.encode("utf-16"), "Byte 0xff at position 1 of 18 is not UTF-8.", id="utf-16"),
        pytest.param(b'{"a": "\xed\xa0\x80"}', "Byte 0xed at position 8 of 12 is not UTF-8.", id="surrogate"),
        pytest.param(b'{"a": "\xc3', "Byte 0xc3 at position 8 of 8 is not UTF-8.", id="cut inside a character"),
    ],
)
def test_broken_encoding_is_refused_with_the_position(value: bytes, message: str) -> None:
    error = refusal(Decoder(None), value)
    assert (error.code, error.message) == (Code.BAD_ENCODING, message)


def test_error_has_a_text_and_survives_pickling() -> None:
    error = pickle.loads(pickle.dumps(UndecodableError(Code.BAD_AVRO, "why")))
    assert (error.code, error.message, str(error)) == (Code.BAD_AVRO, "why", "bad-avro: why")


def test_batch_has_a_line_for_every_message_and_the_reasons_by_index() -> None:
    lines, errors = Decoder(None).decode_batch(iter([b'{"a": 1}', None, b'{"a":\n2}', b"\xff", b"\0\0\0\0\1x"]))
    assert lines == [b'{"a": 1}', b"null", b'{"a":\t2}', b"null", b"null"]
    assert {index: error.code for index, error in errors.items()} == {
        1: Code.EMPTY_MESSAGE, 3: Code.BAD_ENCODING, 4: Code.BAD_AVRO
    }  # fmt: skip


AWKWARD = st.one_of(
    st.binary(max_size=40),
    st.text("\ufeff\u3000\u00a0\x85\u2028\x1c\x1f\v\f\t\r\n {}", max_size=6).map(str.encode),
)


@given(st.lists(AWKWARD))
@example([b" \xef\xbb\xbf", b"{}"])
def test_any_batch_has_as_many_records_for_validation_as_messages(values: list[bytes]) -> None:
    lines, errors = decoder_of(record(a="string", n="long")).decode_batch(values)
    assert len(lines) == len(values)
    assert all(lines[index] == b"null" for index in errors)
    with NamedTemporaryFile() as file:
        Path(file.name).write_bytes(b"\n".join(lines))
        records = list(ndjson_records(Path(file.name), 1024, one_per_line=True))
    assert [record.line for record in records] == list(range(1, len(values) + 1))
    assert not [record for record in records if record.code in {Code.BAD_ENCODING, Code.ROW_TOO_LONG}]


# Avro


def test_row_of_the_contract_is_decoded_exactly() -> None:
    schema = json.loads(schema_text(avro_schema(INVENTORY)))
    row = {
        "warehouse_code": "WH-007", "sku": "CHR-00042", "product_name": "Eiche\n\"木\"", "on_hand": 2**62,
        "reserved": None, "unit_weight_kg": 0.1, "is_active": True, "last_counted_on": None,
        "last_moved_at": datetime.fromisoformat("2026-01-31T06:12:00.000250"), "supplier_id": "not a uuid",
        "attributes": '{"shelf":\r\n{"n": 1.00000000000000000001}}',
    }  # fmt: skip
    assert decoder_of(schema).decode(message(schema, row)).decode() == (
        '{"warehouse_code":"WH-007","sku":"CHR-00042","product_name":"Eiche\\n\\"木\\"","on_hand":4611686018427387904,'
        '"reserved":null,"unit_weight_kg":0.1,"is_active":true,"last_counted_on":null,'
        '"last_moved_at":"2026-01-31T06:12:00.000250","supplier_id":"not a uuid",'
        '"attributes":{"shelf":\t\t{"n": 1.00000000000000000001}}}'
    )


def decimal(precision: int, scale: int) -> dict[str, Any]:
    return {"type": "bytes", "logicalType": "decimal", "precision": precision, "scale": scale}


@pytest.mark.parametrize(
    ("kind", "encoded", "read"),
    [
        pytest.param(decimal(12, 2), b"\x04\x07\xcf", "19.99", id="decimal"),
        pytest.param(decimal(12, 2), b"\x02\xff", "-0.01", id="negative decimal"),
        pytest.param(decimal(12, 0), b"\x02\x05", "5", id="decimal without a scale"),
        pytest.param(decimal(4, 2), b"\x08\x07\x5b\xcd\x15", "1234567.89", id="more digits than the precision"),
        pytest.param(
            {"type": "fixed", "name": "f", "size": 2, "logicalType": "decimal", "precision": 4, "scale": 1},
            b"\x00\x0f", "1.5", id="fixed decimal",
        ),
        pytest.param({"type": "int", "logicalType": "date"}, long(-1), "1969-12-31", id="date"),
        pytest.param({"type": "long", "logicalType": "timestamp-micros"}, long(1), "1970-01-01T00:00:00.000001+00:00",
                     id="timestamp-micros"),
        pytest.param({"type": "long", "logicalType": "timestamp-millis"}, long(1), "1970-01-01T00:00:00.001000+00:00",
                     id="timestamp-millis"),
        pytest.param({"type": "long", "logicalType": "local-timestamp-micros"}, long(0), "1970-01-01T00:00:00",
                     id="local timestamp"),
        pytest.param({"type": "int", "logicalType": "time-millis"}, long(1000), "00:00:01", id="time"),
        pytest.param({"type": "long", "logicalType": "made-up"}, long(7), 7, id="unknown logical type"),
        pytest.param("bytes", b"\x04\xff\x00", "/wA=", id="bytes"),
        pytest.param({"type": "fixed", "name": "f", "size": 1}, b"\xff", "/w==", id="fixed"),
        pytest.param("double", b"\0\0\0\0\0\0\xf8\x7f", "nan", id="nan"),
        pytest.param("float", b"\0\0\x80\xff", "-inf", id="infinity"),
        pytest.param({"type": "enum", "name": "e", "symbols": ["A", "B"]}, long(1), "B", id="enum"),
        pytest.param({"type": "array", "items": decimal(4, 1)}, long(1) + b"\x02\x05" + long(0), ["0.5"], id="array"),
        pytest.param({"type": "map", "values": "long"}, long(1) + b"\x02k" + long(3) + long(0), {"k": 3}, id="map"),
        pytest.param(["null", "string", "long"], long(2) + long(9), 9, id="union"),
        pytest.param(record(inner="string") | {"name": "n"}, b"\x02x", {"inner": "x"}, id="record in record"),
        pytest.param({"type": "string", "logicalType": "json"}, b"\x06[1]", [1], id="json"),
    ],
)  # fmt: skip
def test_value_of_every_kind_reads_as_json(kind: Any, encoded: bytes, read: Any) -> None:
    assert json.loads(decoder_of(record(v=kind)).decode(envelope(encoded))) == {"v": read}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**15), max_value=10**15))
def test_decimal_keeps_every_digit(number: Decimal) -> None:
    schema = record(v=decimal(30, 3))
    line = decoder_of(schema).decode(message(schema, {"v": number}))
    assert Decimal(json.loads(line)["v"]) == number


def test_messages_of_several_schemas_are_read_by_their_own() -> None:
    first, second = record(a="string"), record(b="long")
    lines, errors = decoder_of(first, second).decode_batch(
        [message(first, {"a": "x"}), message(second, {"b": 1}, 2), message(first, {"a": "y"}), b'{"c": 1}']
    )
    assert (lines, errors) == ([b'{"a":"x"}', b'{"b":1}', b'{"a":"y"}', b'{"c": 1}'], {})


def test_schema_that_reuses_a_named_type_in_a_namespace_is_read() -> None:
    point = {"type": "record", "name": "Point", "fields": [{"name": "x", "type": "double"}]}
    schema = record(a=point, b=["null", "Point"], c={"type": "array", "items": "deep.space.Point"})
    schema["namespace"] = "deep.space"
    row = {"a": {"x": 1.5}, "b": {"x": 2.5}, "c": [{"x": 3.5}]}
    assert json.loads(decoder_of(schema).decode(message(schema, row))) == row


def test_schema_with_a_default_that_does_not_fit_still_reads_messages() -> None:
    schema = record(v="long")
    schema["fields"][0]["default"] = "none"
    assert decoder_of(schema).decode(envelope(long(3))) == b'{"v":3}'


# Avro that cannot be read


def test_avro_without_a_registry_names_the_setting() -> None:
    error = refusal(Decoder(None), envelope(b"\x02a"))
    assert error.code is Code.BAD_AVRO
    assert "SCHEMA_REGISTRY_URL is not set" in error.message


def test_unknown_schema_id_is_named() -> None:
    error = refusal(decoder_of(record(v="long")), envelope(b"", 0x01020304))
    assert (error.code, error.message) == (Code.UNKNOWN_SCHEMA, "The registry has no schema with id 16909060.")


# The schema's id in a header

BY_ID, BY_GUID = b"\0\0\0\0\1", b"\1" + UUID(int=1).bytes


@pytest.mark.parametrize("header", [BY_ID, BY_GUID], ids=["id", "GUID"])
def test_schema_that_a_header_names_reads_the_bare_record(header: bytes) -> None:
    schema = record(v="long", t="string")
    bare = message(schema, {"v": 30, "t": "{"})[5:]
    assert decoder_of(schema).decode(bare, header) == b'{"v":30,"t":"{"}'


@pytest.mark.parametrize("header", [BY_ID, BY_GUID], ids=["id", "GUID"])
def test_json_with_a_schema_in_a_header_is_read_as_json(header: bytes) -> None:
    registry = FixedRegistry({1: WriterSchema("JSON", '{"type": "object"}', False)})
    assert Decoder(registry).decode(b'{"v": 1}', header) == b'{"v": 1}'  # type: ignore[arg-type]
    assert Decoder(None).decode(b' {"v": 1}', header) == b' {"v": 1}'


@pytest.mark.parametrize(
    ("header", "code", "reason"),
    [
        pytest.param(b"\0\0\0\0\2", Code.UNKNOWN_SCHEMA, "no schema with id 2.", id="unknown id"),
        pytest.param(b"\1" + UUID(int=2).bytes, Code.UNKNOWN_SCHEMA, f"GUID {UUID(int=2)}.", id="unknown GUID"),
        pytest.param(b"\0\0", Code.BAD_AVRO, "inside the schema id", id="cut off"),
        pytest.param(b"\1\0\0\0\1", Code.BAD_AVRO, "__value_schema_id holds 5 bytes", id="GUID cut off"),
        pytest.param(b"\2" + b"x" * 16, Code.BAD_AVRO, "__value_schema_id holds 17 bytes", id="unknown form"),
        pytest.param(b"", Code.BAD_AVRO, "__value_schema_id holds 0 bytes", id="empty"),
    ],
)
def test_header_without_a_valid_schema_id_is_refused(header: bytes, code: Code, reason: str) -> None:
    decoder = decoder_of(record(v="long"))
    lines, errors = decoder.decode_batch([long(3)], [header])
    assert (lines, errors[0].code) == ([b"null"], code)
    assert reason in errors[0].message


def test_avro_with_its_schema_in_a_header_and_no_registry_names_the_setting() -> None:
    _, errors = Decoder(None).decode_batch([b"\x02a"], [BY_GUID])
    assert errors[0].code is Code.BAD_AVRO
    assert "SCHEMA_REGISTRY_URL is not set" in errors[0].message


def test_batch_mixes_schemas_in_headers_and_in_front() -> None:
    schema = record(v="long")
    values = [message(schema, {"v": 1}), message(schema, {"v": 2})[5:], b'{"v": 3}']
    lines, errors = decoder_of(schema).decode_batch(values, [None, BY_GUID, None])
    assert (lines, errors) == ([b'{"v":1}', b'{"v":2}', b'{"v": 3}'], {})


def shortest(number: float) -> float:
    """The number of the shortest text; from 2^24 on, where each is whole, the number itself."""
    single = np.float32(number)
    return float(single) if abs(single) >= 2**24 else float(str(single))


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float_of_32_bits_is_its_shortest_decimal(number: float) -> None:
    schema = record(v="float")
    line = decoder_of(schema).decode(message(schema, {"v": number}))
    assert json.loads(line)["v"] == shortest(number)


@pytest.mark.parametrize("number", [12.9, 0.1, -3.14, 1e-30, 1e-45, 3.4028234663852886e38, 16777216.0, 0.0, 1.1e10])
def test_float_of_32_bits_keeps_the_written_decimal(number: float) -> None:
    schema = record(v="float")
    found = json.loads(decoder_of(schema).decode(message(schema, {"v": number})))["v"]
    assert found == shortest(number)


STRING, LONGS = record(v="string"), record(v={"type": "array", "items": "long"})


@pytest.mark.parametrize(
    ("schema", "value", "reason"),
    [
        pytest.param(STRING, b"\0", "ends after 1 bytes, inside the schema id", id="nothing after the magic byte"),
        pytest.param(STRING, b"\0\0\0\0", "ends after 4 bytes, inside the schema id", id="cut in the schema id"),
        pytest.param(STRING, envelope(b""), "ends before its record does", id="no record"),
        pytest.param(STRING, envelope(long(4) + b"abc"), "ends before its record does", id="cut off"),
        pytest.param(STRING, envelope(long(1) + b"abc"), "2 bytes are left over", id="bytes left over"),
        pytest.param(STRING, envelope(long(2**62) + b"abc"), "ends before", id="exabytes promised"),
        pytest.param(STRING, envelope(long(-3) + b"abc"), "ends before", id="negative length"),
        pytest.param(STRING, envelope(long(1) + b"\xff"), "do not fit", id="text is not utf-8"),
        pytest.param(STRING, envelope(b"\xff" * 40), "ends inside a number", id="number without an end"),
        pytest.param(LONGS, envelope(long(2**61) + b"\x02"), "ends before", id="array of quintillions"),
        pytest.param(record(v={"type": "map", "values": "long"}), envelope(long(2**61)), "ends before",
                     id="map of quintillions"),
        pytest.param(record(v=["null", "long"]), envelope(long(7)), "points outside", id="no such branch"),
        pytest.param(record(v={"type": "enum", "name": "e", "symbols": ["A"]}), envelope(long(7)), "points outside",
                     id="no such symbol"),
        pytest.param(record(v={"type": "fixed", "name": "f", "size": 2**40}), envelope(b"abc"), "ends before",
                     id="terabyte by schema"),
        pytest.param(record(v={"type": "long", "logicalType": "timestamp-micros"}), envelope(long(2**62)),
                     "do not fit", id="time after the year 9999"),
        pytest.param(record(v=decimal(4, 2)), envelope(long(9000) + b"\x7f" * 9000), "do not fit",
                     id="decimal of 20,000 digits"),
        pytest.param(record(v={"type": "string", "logicalType": "json"}), envelope(long(2) + b"{]"), "do not fit",
                     id="json is none"),
    ],
)  # fmt: skip
def test_broken_record_is_refused_with_the_reason(schema: Any, value: bytes, reason: str) -> None:
    decoder = decoder_of(schema)
    for _ in range(2):
        error = refusal(decoder, value)
        assert error.code is Code.BAD_AVRO
        assert reason in error.message


def nested(levels: int) -> Any:
    return "long" if levels == 0 else {"type": "array", "items": nested(levels - 1)}


def tenfold(levels: int) -> list[dict[str, Any]]:
    """Nested records, each with ten fields of the inner one: thousands of millions of values from no bytes."""
    kinds: list[Any] = ["null"]
    for level in range(levels):
        inner = kinds[-1]
        name = inner["name"] if isinstance(inner, dict) else inner
        fields = [{"name": "f0", "type": inner}, *({"name": f"f{at}", "type": name} for at in range(1, 10))]
        kinds.append({"type": "record", "name": f"n{level}", "fields": fields})
    return kinds[-1]


def chained(links: int) -> dict[str, Any]:
    """A record of records, each of which refers to the previous one by its name."""
    kinds = [record(x="long") | {"name": "n0"}]
    kinds += [record(x=f"n{at - 1}") | {"name": f"n{at}"} for at in range(1, links)]
    return record(**{f"f{at}": kind for at, kind in enumerate(kinds)})


REFUSED = [
    pytest.param("{", "is broken", id="no json"),
    pytest.param('"strnig"', "is broken", id="no type"),
    pytest.param('{"type": "record", "fields": []}', "is broken", id="no name"),
    pytest.param('"string"', "of type string; a record is expected", id="primitive"),
    pytest.param('["null", "string"]', "a record is expected", id="union"),
    pytest.param('{"type": "enum", "name": "e", "symbols": ["A"]}', "of type enum; a record", id="enum"),
    pytest.param(json.dumps(record(next=["null", "r"])), "contains itself", id="recursive"),
    pytest.param(
        json.dumps(record(a=record(b={"type": "map", "values": "r"}) | {"name": "s"})), "contains itself",
        id="recursive by a detour",
    ),
    pytest.param(
        json.dumps({"type": "error", "name": "r", "fields": []}), "a record is expected", id="error"
    ),
    pytest.param(
        json.dumps(record(v={"type": "error", "name": "e", "fields": [{"name": "n", "type": ["null", "e"]}]})),
        "contains itself", id="recursive error",
    ),
    pytest.param(json.dumps(record(v=nested(MAX_DEPTH))), "levels deep", id="deep"),
    pytest.param(json.dumps(record(v=nested(300))), "levels deep", id="very deep"),
    pytest.param(json.dumps(chained(MAX_DEPTH)), "levels deep", id="deep by names"),
    pytest.param(
        '{"type":"record","name":"r","fields":[{"name":"v","type":' + '{"type":"array","items":' * 5000
        + '"long"' + "}" * 5000 + "}]}", "is broken|levels deep", id="deeper than any parser goes",
    ),
    pytest.param(json.dumps(record(v={"type": "array", "items": "null"})), "take no bytes", id="array of nothing"),
    pytest.param(
        json.dumps(record(v={"type": "array", "items": record(n="null") | {"name": "s"}})), "take no bytes",
        id="array of empty records",
    ),
    pytest.param(
        json.dumps(record(v={"type": "array", "items": {"type": "fixed", "name": "f", "size": 0}})), "take no bytes",
        id="array of empty fixed",
    ),
    pytest.param(json.dumps(tenfold(9)), "more than 10000 types", id="a thousand million laughs"),
    pytest.param(json.dumps(record(v=decimal(10**9, 10**9))), "decimals of more than 100", id="endless decimals"),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "reason"), REFUSED)
def test_unsafe_schema_is_refused(schema: str, reason: str) -> None:
    with pytest.raises(SchemaRefusedError, match=reason):
        RecordReader(schema)
    error = refusal(Decoder(FixedRegistry({1: WriterSchema("AVRO", schema, False)})), envelope(b"\x02" * 100))  # type: ignore[arg-type]
    assert error.code is Code.BAD_AVRO


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        pytest.param(
            WriterSchema("PROTOBUF", "syntax = 'proto3';", False), "of type PROTOBUF, not Avro", id="protobuf"
        ),
        pytest.param(WriterSchema("AVRO", json.dumps(STRING), True), "refers to other schemas", id="references"),
    ],
)
def test_schema_of_another_kind_is_refused(schema: WriterSchema, reason: str) -> None:
    error = refusal(Decoder(FixedRegistry({1: schema})), envelope(b"\x02a"))  # type: ignore[arg-type]
    assert error.code is Code.BAD_AVRO
    assert reason in error.message


def test_deepest_schema_that_is_allowed_is_read() -> None:
    levels = MAX_DEPTH - 2
    line = RecordReader(json.dumps(record(v=nested(levels)))).line(long(1) * levels + long(5) + long(0) * levels)
    assert line.count(b"[") == levels


ROW = {
    "warehouse_code": "WH-007", "sku": "CHR-00042", "product_name": "Oak", "on_hand": 1, "reserved": 2,
    "unit_weight_kg": 0.5, "is_active": True, "last_counted_on": None,
    "last_moved_at": datetime.fromisoformat("2026-01-31T06:12:00"), "supplier_id": None, "attributes": "{}",
}  # fmt: skip


@settings(max_examples=300)
@given(st.data())
def test_damaged_record_is_a_line_or_a_reason(data: st.DataObject) -> None:
    schema = json.loads(schema_text(avro_schema(INVENTORY)))
    body = bytearray(message(schema, ROW)[5:])
    for at in data.draw(st.lists(st.integers(0, len(body) - 1), min_size=1, max_size=6)):
        body[at] = data.draw(st.integers(0, 255))
    reader = READERS(json.dumps(schema))
    try:
        line = reader.line(bytes(body))
    except RecordError:
        return
    assert b"\n" not in line
    assert set(json.loads(line)) == set(ROW)


def _cached() -> Callable[[str], RecordReader]:
    known: dict[str, RecordReader] = {}

    def reader(schema: str) -> RecordReader:
        if schema not in known:
            known[schema] = RecordReader(schema)
        return known[schema]

    return reader


READERS = _cached()

HOSTILE = """
import resource, sys
from include.ingestion.readers.avro_records import RecordError, RecordReader
resource.setrlimit(resource.RLIMIT_AS, (1024**3, 1024**3))
schema = '{"type": "record", "name": "r", "fields": [{"name": "v", "type": %s}]}'
for kind in ('"string"', '"bytes"', '{"type": "fixed", "name": "f", "size": 1099511627776}',
             '{"type": "array", "items": "string"}', '{"type": "map", "values": "bytes"}'):
    for head in (b"\\xfe" + b"\\xff" * 7 + b"\\x7f", b"\\x80" * 6 + b"\\x01"):
        try:
            RecordReader(schema % kind).line(head + b"abc")
        except RecordError as error:
            assert "ends before" in str(error), error
        else:
            sys.exit(f"read {kind}")
"""


def test_declared_gigabytes_are_not_allocated() -> None:
    """In a process with one gigabyte of address space, where such an allocation is a MemoryError: another reason."""
    answer = subprocess.run(
        [sys.executable, "-c", HOSTILE], cwd=Path(__file__).parents[3], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr[-2000:]
    assert resource.getrlimit(resource.RLIMIT_AS) != (1024**3, 1024**3)
