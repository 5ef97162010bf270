"""A message for every seed: JSON and Avro, broken like files, and schemas that other producers might register.

What belongs here: single messages. What does not: files (`fuzz_files`), and how messages are consumed.
"""

from __future__ import annotations

import json
from io import BytesIO
from random import Random
from typing import TYPE_CHECKING, Any

from fastavro import parse_schema, schemaless_writer
from fuzz_bytes import mutated
from fuzz_json import CHANGES, record_of, spelled
from fuzz_values import good_rows, with_edges

from include.streams.avro_schema import avro_schema, to_avro

if TYPE_CHECKING:
    from collections.abc import Callable

    from include.contracts.model import Contract

    Put = Callable[[str], int]  # stores a schema in the registry; its id

_ENDS = (-(2**63), 2**63 - 1, 0, -1, 253402300800000, 253402300800000000, -62135596800001)
# Types that a column may have in a message, each with a function that makes a value.
_TYPES: tuple[tuple[Any, Callable[[Random], Any]], ...] = (
    ("long", lambda rng: rng.choice(_ENDS)),
    ({"type": "long", "logicalType": "timestamp-millis"}, lambda rng: rng.choice(_ENDS)),
    ({"type": "long", "logicalType": "timestamp-micros"}, lambda rng: rng.choice(_ENDS)),
    ({"type": "long", "logicalType": "local-timestamp-micros"}, lambda rng: rng.choice(_ENDS)),
    ({"type": "long", "logicalType": "time-micros"}, lambda rng: rng.choice(_ENDS)),
    ({"type": "int", "logicalType": "date"}, lambda rng: rng.choice((-(2**31), 2**31 - 1, 0, 2932897, -719163))),
    ({"type": "bytes", "logicalType": "decimal", "precision": 60, "scale": 2}, lambda rng: rng.randbytes(25)),
    ({"type": "string", "logicalType": "uuid"}, lambda rng: rng.choice(("", "x", "6f1c2a349d1e4c558a860c1f6f0b7e21"))),
    ({"type": "fixed", "name": "twelve", "size": 12, "logicalType": "duration"}, lambda rng: rng.randbytes(12)),
    ({"type": "enum", "name": "kind", "symbols": ["A", "B"]}, lambda rng: "B"),
    ({"type": "array", "items": ["null", "double"]}, lambda rng: [None, float("nan"), float("-inf"), 1e308]),
    ({"type": "map", "values": "bytes"}, lambda rng: {"": b"\x00\xff", "a\x00": b""}),
    ({"type": "record", "name": "inner", "fields": [{"name": "x", "type": "boolean"}]}, lambda rng: {"x": True}),
    ("double", lambda rng: rng.choice((float("nan"), float("inf"), 5e-324, -0.0, 1e22))),
    ("bytes", lambda rng: rng.randbytes(rng.randrange(20))),
    ("boolean", lambda rng: True),
    ("null", lambda rng: None),
)  # fmt: skip
_SCHEMAS = (
    "", "{}", "[]", '"string"', '{"type": "record"}', '{"type": "record", "name": "r", "fields": []}',
    '{"type": "record", "name": "r", "fields": [{"name": "r", "type": ["null", "r"]}]}',
    '{"type": "record", "name": "r", "fields": [{"name": "n", "type": {"type": "array", "items": "null"}}]}',
    '{"type": "record", "name": "r", "fields": [{"name": "code", "type": "string"}]}', '{"type": "enum", "name": "e"}',
    '{"type": "fixed", "name": "f", "size": 1000000000}', "[" * 1000,
)  # fmt: skip
_ODD = (
    None, b"", b" ", b"\n", b"null", b"[]", b"1", b"{}", b"\x00", b"\x00\x00\x00\x00", b"\xef\xbb\xbf", b"\x1f\x8b",
    b"\xff\xfe{\x00}\x00", b"{" * 100_000, b"[" * 100_000, b'{"code":' * 3000, b'{"a": 1}\n{"b": 2}', b"x" * 500_000,
)  # fmt: skip


def message(contract: Contract, seed: int, put: Put) -> bytes | None:
    """The message of that seed."""
    rng = Random(f"message {seed}")
    chance = rng.random()
    if chance < 0.1:
        return rng.choice(_ODD)
    value = _json(rng) if chance < 0.55 else _avro(contract, rng, put)
    return mutated(value, rng) if rng.random() < 0.35 else value


def good_messages(contract: Contract, seed: int, count: int) -> list[bytes]:
    """Messages that load."""
    rng = Random(f"good messages {seed}")
    return [spelled(record_of(row, rng)).encode() for row in good_rows("fuzzed", rng, count)]


def _json(rng: Random) -> bytes:
    rows = good_rows("fuzzed", rng, 1)
    if rng.random() < 0.5:
        with_edges(rows, rng)
    record = record_of(rows[0], rng)
    if rng.random() < 0.6:
        rng.choice(CHANGES)(record, rng)
    return spelled(record).encode(rng.choice(("utf-8", "utf-8", "utf-8", "utf-8-sig", "utf-16")), "surrogatepass")


def _avro(contract: Contract, rng: Random, put: Put) -> bytes:
    row = good_rows("fuzzed", rng, 1)[0]
    schema, values = avro_schema(contract), to_avro(row, contract)
    chance = rng.random()
    if chance < 0.1:
        return _framed(put(rng.choice(_SCHEMAS)), rng.randbytes(rng.choice((0, 1, 10, 1000))))
    if chance < 0.6:
        for _ in range(rng.choice((1, 1, 2))):
            field = rng.choice(schema["fields"])
            kind, make = rng.choice(_TYPES)
            field.pop("default", None)
            # The raw value, without the library's conversion: an edge case need not be a valid time.
            field["type"], values[field["name"]] = kind, make(rng)
    stream = BytesIO()
    try:
        schemaless_writer(stream, parse_schema(_plain(schema)), _raw(values, schema))
    except Exception:
        stream = BytesIO(rng.randbytes(100))
    number = put(json.dumps(schema))
    return _framed(number if rng.random() < 0.95 else rng.choice((0, 10**6, 2**32 - 1)), stream.getvalue())


def _framed(schema_id: int, record: bytes) -> bytes:
    return b"\0" + schema_id.to_bytes(4, "big") + record


def _plain(schema: dict[str, Any]) -> dict[str, Any]:
    """Remove the logical types of changed fields, which would check the values to be written."""
    fields = [
        {**field, "type": {name: value for name, value in field["type"].items() if name != "logicalType"}}
        if isinstance(field["type"], dict) and "default" not in field and field["name"] not in {"code", "part", "stamp"}
        else field
        for field in schema["fields"]
    ]
    return {**schema, "fields": fields}


def _raw(values: dict[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    return {field["name"]: values.get(field["name"]) for field in schema["fields"]}
