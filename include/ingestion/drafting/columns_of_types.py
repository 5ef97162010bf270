"""The columns of a file of typed values: those of its schema, nested structures by their paths.

What belongs here: the schema. What does not: reading values (`include.ingestion.readers.columnar`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

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
_TEXT = "VARCHAR"


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
        yield SourceColumn(path=path, declared=_declared(kind))
    elif exact(name):
        yield SourceColumn(header=name, declared=_declared(kind))


def _is_step(path: str, name: str) -> bool:
    return "." not in name and is_path(f"{path}.{name}")


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
