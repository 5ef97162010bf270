"""Reads Avro records of any producer by their writer's schema and returns them as JSON text.

What belongs here: reading one Avro record safely and without losing a digit. What does not: container files
(`avro_file`), and for messages the wire format, the registry and a dataset's own schema (`include.streams`).

fastavro's reader in C trusts the schema: a few bytes can make it recurse until the process dies or fill a list for
hours. So schemas that allow that are refused before any message is read.
"""

from __future__ import annotations

import base64
import math
import struct
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import orjson
from fastavro import parse_schema, schemaless_reader
from fastavro.read import LOGICAL_READERS

from include.contracts.types import JSON_LOGICAL_TYPE
from include.errors import reason_of

MAX_DEPTH = 32
MAX_TYPES = 10_000
MAX_SCALE = 100
# JSON allows line breaks and tabs between tokens and neither inside a string: so replacing line breaks by tabs changes
# no valid document and makes no broken one valid.
ONE_LINE = bytes.maketrans(b"\n\r", b"\t\t")
# Smallest encodings in bytes. A fixed has its size, a record the sum of its fields; all others have a length, an index
# or an end mark.
_SMALLEST = {"null": 0, "boolean": 1, "int": 1, "long": 1, "float": 4, "double": 8, "bytes": 1, "string": 1}
_TOO_DEEP = f"the schema is nested more than {MAX_DEPTH} levels deep"
_RECORDS = {"record", "error"}
# Nine digits identify every float of 32 bits.
_MOST_FLOAT32_DIGITS = 9
_SMALLEST_NORMAL_FLOAT32 = 2.0**-126
_FIRST_WITHOUT_FRACTION = 2.0**24
_FLOAT32 = struct.Struct("<f")


class SchemaRefusedError(ValueError):
    """A writer's schema that is broken, or unsafe for messages of unknown producers."""


class RecordError(ValueError):
    """Bytes that are not one record of the schema."""


class RecordReader:
    """Reads records of one schema.

    Args:
        schema: the writer's schema as JSON text.

    Raises:
        SchemaRefusedError: it is no Avro schema of a record, recurses, or is too deep or too large.
    """

    def __init__(self, schema: str) -> None:
        try:
            # A wrong default does no harm: reading by the writer's own schema uses no defaults.
            parsed = parse_schema(orjson.loads(schema), _ignore_default_error=True)
        except RecursionError as error:
            raise SchemaRefusedError(_TOO_DEEP) from error
        except Exception as error:  # the library raises errors of many types for a broken schema
            raise SchemaRefusedError(f"the schema is broken: {_short(error)}") from error
        if not isinstance(parsed, dict) or parsed.get("type") != "record":
            kind = parsed.get("type") if isinstance(parsed, dict) else parsed
            shown = "union" if isinstance(kind, list) else kind
            raise SchemaRefusedError(f"the schema is of type {shown}; a record is expected")
        self.smallest = _Survey().type(parsed, 0).smallest
        self._schema = parse_schema(_for_reading(parsed), _ignore_default_error=True)
        self._bare = parse_schema(_without_logical_types(parsed), _ignore_default_error=True)

    def line(self, message: bytes, start: int = 0) -> bytes:
        """Return the record from byte `start` to the end of the message as one line of JSON.

        Decimals are exact text, times ISO 8601, other bytes base64, numbers that JSON does not know text.

        Raises:
            RecordError: the bytes do not hold exactly one record of the schema.
        """
        stream = BytesIO(message)
        stream.seek(start)
        try:
            record = schemaless_reader(stream, self._schema, None)
            line = orjson.dumps(record)
        except EOFError as error:
            raise RecordError("the message ends before its record does") from error
        except IndexError as error:
            raise RecordError("the message ends inside a number, or a number points outside the schema") from error
        except Exception as error:  # no broken message may stop the other messages
            raise RecordError(f"the bytes do not fit the schema: {_short(error)}") from error
        if left := len(message) - stream.tell():
            raise RecordError(f"{left} bytes are left over after the record")
        return line

    def next_line(self, stream: BytesIO) -> tuple[bytes, str]:
        """Return the next record of a stream as one line of JSON, and no reason.

        A record with a value that cannot be converted, such as a day beyond the year 9999, is `null`, with the reason.

        Raises:
            RecordError: the bytes do not fit the schema: it is unknown where the next record begins.
        """
        start = stream.tell()
        try:
            return orjson.dumps(schemaless_reader(stream, self._schema, None)), ""
        except Exception as error:
            reason = _short(error)
            stream.seek(start)
        try:
            schemaless_reader(stream, self._bare, None, handle_unicode_errors="replace")
        except EOFError as error:
            raise RecordError("the block ends before its record does") from error
        except Exception as error:
            raise RecordError(f"the bytes do not fit the schema: {_short(error)}") from error
        return b"null", reason


@dataclass(frozen=True)
class _Extent:
    types: int
    smallest: int
    depth: int


class _Survey:
    """Measures a parsed schema, each named type once."""

    def __init__(self) -> None:
        self._known: dict[str, _Extent | None] = {}  # None while its fields are being walked

    def type(self, schema: Any, depth: int) -> _Extent:
        """The size of a type with every named type in it expanded.

        Raises:
            SchemaRefusedError: too large, too deep, or reading it might not end.
        """
        if depth > MAX_DEPTH:
            raise SchemaRefusedError(_TOO_DEEP)
        extent = self._extent(schema, depth)
        if extent.types > MAX_TYPES:
            raise SchemaRefusedError(f"the schema has more than {MAX_TYPES} types once written out")
        if depth + extent.depth > MAX_DEPTH:
            raise SchemaRefusedError(_TOO_DEEP)
        return extent

    def _extent(self, schema: Any, depth: int) -> _Extent:
        if isinstance(schema, list):
            branches = [self.type(branch, depth + 1) for branch in schema]
            return _sum(branches, smallest=1)
        if not isinstance(schema, dict):
            if schema in _SMALLEST:
                return _Extent(1, _SMALLEST[schema], 1)
            if schema not in self._known:
                raise SchemaRefusedError(f"the schema has the type {schema}, which is not read here")
            if (known := self._known[schema]) is None:
                raise SchemaRefusedError(f"the schema's type {schema} contains itself, which is not read here")
            return known
        kind = schema["type"]
        if kind in _RECORDS:
            self._known[schema["name"]] = None
            fields = [self.type(field["type"], depth + 1) for field in schema["fields"]]
            extent = _sum(fields, smallest=sum(field.smallest for field in fields))
        elif kind == "array":
            items = self.type(schema["items"], depth + 1)
            if items.smallest == 0:
                raise SchemaRefusedError("the schema has an array of items that take no bytes")
            return _sum([items], smallest=1)
        elif kind == "map":
            return _sum([self.type(schema["values"], depth + 1)], smallest=1)
        elif kind in {"enum", "fixed"}:
            extent = _Extent(1, schema.get("size", 1), 1)
        else:
            return self.type(kind, depth)
        self._known[schema["name"]] = extent
        return extent


def _sum(parts: list[_Extent], smallest: int) -> _Extent:
    return _Extent(1 + sum(part.types for part in parts), smallest, 1 + max((part.depth for part in parts), default=0))


# Types whose values need a conversion for JSON get FileGate's own logical types.
_OWN = {
    ("bytes", "decimal"): "filegate-decimal",
    ("fixed", "decimal"): "filegate-decimal",
    ("string", JSON_LOGICAL_TYPE): "filegate-json",
    ("string", "uuid"): None,  # unchanged: the contract's rules check whether it is a UUID
    ("bytes", None): "filegate-bytes",
    ("fixed", None): "filegate-bytes",
    ("fixed", "duration"): "filegate-bytes",
    ("float", None): "filegate-float32",
    ("double", None): "filegate-float",
}


def _for_reading(schema: Any) -> Any:
    """A copy of a parsed schema with logical types as this module reads them."""
    if isinstance(schema, list):
        return [_for_reading(branch) for branch in schema]
    if isinstance(schema, str):
        own = _OWN.get((schema, None))
        return {"type": schema, "logicalType": own} if own else schema
    copy = {name: value for name, value in schema.items() if not name.startswith("__") and name != "doc"}
    kind = copy["type"]
    if kind in _RECORDS:
        copy["fields"] = [{"name": field["name"], "type": _for_reading(field["type"])} for field in schema["fields"]]
    elif kind in {"array", "map"}:
        inner = "items" if kind == "array" else "values"
        copy[inner] = _for_reading(schema[inner])
    elif not isinstance(kind, str):
        return _for_reading(kind)
    else:
        _rename_logical_type(copy)
    return copy


def _without_logical_types(schema: Any) -> Any:
    """A copy of a parsed schema without logical types: to find the end of a record of which a value cannot be read."""
    if isinstance(schema, list):
        return [_without_logical_types(branch) for branch in schema]
    if not isinstance(schema, dict):
        return schema
    left_out = {"logicalType", "doc"}
    copy = {name: value for name, value in schema.items() if not name.startswith("__") and name not in left_out}
    for inner in ("items", "values", "type"):
        if inner in copy and not isinstance(copy[inner], str):
            copy[inner] = _without_logical_types(copy[inner])
    if "fields" in copy:
        copy["fields"] = [
            {"name": field["name"], "type": _without_logical_types(field["type"])} for field in schema["fields"]
        ]
    return copy


def _rename_logical_type(schema: dict[str, Any]) -> None:
    logical = schema.pop("logicalType", None)
    if logical == "decimal" and schema.get("scale", 0) > MAX_SCALE:
        raise SchemaRefusedError(f"the schema has decimals of more than {MAX_SCALE} places")
    standard = f"{schema['type']}-{logical}" in LOGICAL_READERS and not str(logical).startswith("filegate-")
    own = _OWN.get((schema["type"], logical), logical if standard else _OWN.get((schema["type"], None)))
    if own:
        schema["logicalType"] = own


def _decimal_text(value: bytes, writer: Any, _reader: Any = None) -> str:
    """The decimal as text with all its digits, also more than the schema's precision."""
    unscaled = int.from_bytes(value, "big", signed=True)
    scale = writer.get("scale", 0)
    if not scale:
        return str(unscaled)
    digits = str(abs(unscaled)).zfill(scale + 1)
    return f"{'-' if unscaled < 0 else ''}{digits[:-scale]}.{digits[-scale:]}"


def _document(value: str, _writer: Any, _reader: Any = None) -> orjson.Fragment:
    orjson.loads(value)
    return orjson.Fragment(value.encode().translate(ONE_LINE))


def _base64(value: bytes, _writer: Any, _reader: Any = None) -> str:
    return base64.b64encode(value).decode()


def _float(value: float, _writer: Any, _reader: Any = None) -> float | str:
    return value if math.isfinite(value) else str(value)


def _float32(value: float, _writer: Any, _reader: Any = None) -> float | str:
    """The shortest decimal that identifies this float of 32 bits: 12.9, and not 12.899999618530273.

    From 2^24 on floats are whole numbers and stay unchanged: the shortest text would replace digits by zeros.
    """
    if not math.isfinite(value):
        return str(value)
    if abs(value) >= _FIRST_WITHOUT_FRACTION:
        return value
    # Every normal float keeps six digits, so formatting with six finds shorter texts too.
    digits = 6 if abs(value) >= _SMALLEST_NORMAL_FLOAT32 else 1
    while True:
        shortest = float(f"{value:.{digits}g}")
        if digits >= _MOST_FLOAT32_DIGITS or _as_float32(shortest) == value:
            return shortest
        digits += 1


def _as_float32(value: float) -> float:
    try:
        rounded: float = _FLOAT32.unpack(_FLOAT32.pack(value))[0]
    except OverflowError:  # rounded up, beyond the largest one
        return math.inf
    return rounded


LOGICAL_READERS.update(
    {
        "bytes-filegate-decimal": _decimal_text,
        "fixed-filegate-decimal": _decimal_text,
        "bytes-filegate-bytes": _base64,
        "fixed-filegate-bytes": _base64,
        "string-filegate-json": _document,
        "float-filegate-float32": _float32,
        "double-filegate-float": _float,
    }
)


def _short(error: BaseException) -> str:
    return reason_of(error)[:200]
