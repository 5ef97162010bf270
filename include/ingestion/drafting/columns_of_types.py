"""The columns of a file of typed values: those of its schema, nested structures by their paths.

What belongs here: the schema. What does not: reading values (`include.ingestion.readers.columnar`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa

from include.contracts.paths import is_path
from include.contracts.source_names import exact
from include.ingestion.drafting.structure import SourceColumn, Structure
from include.ingestion.readers.columnar import open_columnar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.ingestion.records import Layout
    from include.settings import IngestSettings

_MOST_MEMBERS = 60
_MOST_LEVELS = 30
_MEANT_AS_TEXT = frozenset({"text"})
_TEXT = "VARCHAR"
_AVRO = {
    "string": _TEXT, "boolean": "BOOLEAN", "int": "INTEGER", "long": "BIGINT", "float": "FLOAT", "double": "DOUBLE",
    "date": "DATE", "timestamp-millis": "TIMESTAMP WITH TIME ZONE", "timestamp-micros": "TIMESTAMP WITH TIME ZONE",
    "local-timestamp-millis": "TIMESTAMP", "local-timestamp-micros": "TIMESTAMP", "uuid": "UUID",
    "time-millis": _TEXT, "time-micros": _TEXT, "timestamp-nanos": "TIMESTAMP WITH TIME ZONE",
    "local-timestamp-nanos": "TIMESTAMP", "duration": _TEXT, "enum": _TEXT,
}  # fmt: skip


def detect_columns(path: Path, layout: Layout, settings: IngestSettings) -> Structure:
    """The columns of a Parquet, ORC or Arrow file.

    Raises:
        FileRefusedError: the file is cut off or damaged.
    """
    with open_columnar(path, layout, settings) as file:
        schema = file.schema_arrow
    columns = [column for entry in schema for column in _of(entry.name, entry.type, "")]
    return replace(Structure(layout), columns=tuple(columns))


def _of(name: str, kind: pa.DataType, above: str) -> Iterator[SourceColumn]:
    path = f"{above}.{name}" if above else name
    can_be_path = "." not in name and is_path(path)
    members = list(kind) if pa.types.is_struct(kind) else []
    if 0 < len(members) <= _MOST_MEMBERS and can_be_path and all(_is_step(path, one.name) for one in members):
        for member in members:
            yield from _of(member.name, member.type, path)
    elif above:
        yield _typed(SourceColumn(path=path, kinds=_MEANT_AS_TEXT), _declared(kind))
    elif exact(name):
        yield _typed(SourceColumn(header=name, kinds=_MEANT_AS_TEXT), _declared(kind))


def _typed(column: SourceColumn, declared: str) -> SourceColumn:
    """The column with its declared type. One of text may hold dates; numbers in it are meant as text."""
    return column if declared == _TEXT else replace(column, declared=declared, kinds=frozenset())


def _is_step(path: str, name: str) -> bool:
    return "." not in name and is_path(f"{path}.{name}")


def with_avro_types(found: Structure, schema: str) -> Structure:
    """The structure of an Avro file with the types that its schema declares for columns of a single type."""
    types = dict(_avro_types(json.loads(schema), "", {}))
    columns = tuple(_typed(one, types.get(one.path or one.header, _TEXT)) for one in found.columns)
    return replace(found, columns=columns)


def _avro_types(schema: Any, path: str, named: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The DuckDB types of the fields of a record by their paths."""
    if isinstance(schema, list):
        schema = _only_type(schema)
    if not isinstance(schema, dict):
        schema = named.get(str(schema), {"type": schema})
    if schema.get("name"):
        named[schema["name"]] = schema
    kind, logical = schema.get("type"), schema.get("logicalType")
    if isinstance(kind, dict | list):
        yield from _avro_types(kind, path, named)
    elif kind == "record" and path.count(".") < _MOST_LEVELS:
        for member in schema.get("fields", ()):
            yield from _avro_types(member["type"], f"{path}.{member['name']}" if path else member["name"], named)
    elif logical == "decimal":
        yield path, f"DECIMAL({schema.get('precision')},{schema.get('scale', 0)})"
    elif (found := _AVRO.get(logical) or _AVRO.get(kind)) is not None:
        yield path, found


def _only_type(union: list[Any]) -> Any:
    """The one type of a union beside null; `null` if it has several."""
    types = [one for one in union if one != "null"]
    return types[0] if len(types) == 1 else "null"


def _declared(kind: pa.DataType) -> str:
    """The DuckDB type of a column; that of text where DuckDB has none for it."""
    if isinstance(kind, pa.BaseExtensionType):
        return "UUID" if kind.extension_name == "arrow.uuid" else _declared(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return _declared(kind.value_type)
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _TEXT
    table = pa.table({"v": pa.nulls(0, kind)})
    with duckdb.connect() as connection:
        try:
            connection.register("typed", table)
            row = connection.execute("SELECT column_type FROM (DESCRIBE typed)").fetchone()
        except (duckdb.Error, pa.ArrowException):
            return _TEXT
    return str(row[0]) if row else _TEXT
