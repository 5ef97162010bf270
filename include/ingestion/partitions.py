"""Columns whose values come from folders of the object's key, as in `dt=2026-11-28/region=North/part-0.parquet`.

What belongs here: reading the values from a key, checking them, and what they mean for a file's identity. What does
not: loading them: each becomes a derived column with a constant value.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa

from include.contracts.expressions import literal, quoted
from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.chunk_query import Cells, ChunkQuery
from include.ingestion.engine import engine
from include.ingestion.records import FileRefusedError
from include.ingestion.rules import cleaned, typed

if TYPE_CHECKING:
    import duckdb

    from include.contracts.model import Column, Contract
    from include.ingestion.attempt import Attempt
    from include.ingestion.records import FileEntry

_NULL = "__HIVE_DEFAULT_PARTITION__"


def with_partition_values(attempt: Attempt) -> Attempt:
    """The attempt with a contract in which each partition column has its value, and as `partition` the whole folder.

    Raises:
        FileRefusedError: a folder is missing or there twice, or its value does not fit the column.
    """
    contract = attempt.contract
    if not any(column.partition for column in contract.columns):
        return attempt
    entry = attempt.entry
    with engine(attempt.folder, attempt.settings) as connection:
        columns = tuple(
            _with_value(contract, column, _value(entry, column), connection) if column.partition else column
            for column in contract.columns
        )
    return replace(attempt, contract=replace(contract, columns=columns))


def archive_identity(attempt: Attempt, sha256: str) -> str:
    """The hash that identifies the content of an archive: with its folders, if columns are taken from folders."""
    if not any(column.partition for column in attempt.contract.columns):
        return sha256
    return hashlib.sha256("\0".join([sha256, *attempt.entry.folders]).encode()).hexdigest()


def content_identity(contract: Contract, sha256: str) -> str:
    """The hash that identifies the content of a file: with the values of its folders, if columns are taken from them.

    Equal bytes in two folders are two files, also where cleaning makes their values equal.
    """
    folders = [column.partition for column in contract.columns if column.partition]
    return hashlib.sha256("\0".join([sha256, *folders]).encode()).hexdigest() if folders else sha256


def _value(entry: FileEntry, column: Column) -> str | None:
    """The value of a column's folder; None for a null."""
    key = entry.object_key
    folders = [part.partition("=") for part in entry.folders]
    values = [value for name, sign, value in folders if sign and unquote(name) == column.partition]
    if not values:
        raise FileRefusedError.for_code(
            Code.BAD_PARTITION, "missing", key=visible(key), name=column.partition, column=column.name
        )
    if len(values) > 1:
        raise FileRefusedError.for_code(Code.BAD_PARTITION, "twice", key=visible(key), name=column.partition)
    try:
        value = unquote(values[0], errors="strict")
    except UnicodeDecodeError as error:
        raise _unfit(column, values[0], message(Code.BAD_ENCODING, "parquet", name=column.name)) from error
    return None if value in {"", _NULL} else value


def _with_value(contract: Contract, column: Column, value: str | None, connection: duckdb.DuckDBPyConnection) -> Column:
    folder = str(column.partition) if value is None else f"{column.partition}={value}"
    return replace(column, derived=_expression(contract, column, value, connection), partition=folder)


def _expression(contract: Contract, column: Column, value: str | None, connection: duckdb.DuckDBPyConnection) -> str:
    """The SQL expression of a column's value, checked by the same rules as a cell of a file.

    Raises:
        FileRefusedError: the value does not fit the column.
    """
    alone = replace(column, partition=None)
    contract = replace(contract, columns=(alone,), key=(column.name,), row_rules=())
    query = ChunkQuery(contract, Cells({column.name: "c0"}))
    records = pa.table(
        {
            "_source_row": pa.array([1], pa.int64()),
            "_source_line": pa.nulls(1, pa.int64()),
            "_raw": pa.array([""]),
            "c0": pa.array([value], pa.string()),
        }
    )
    if rejects := query.run(connection, records).rejects:
        raise _unfit(column, value or "", rejects[0].message)
    text = "NULL" if value is None else literal(value)
    if not column.type.is_text:
        return typed(alone, f"{text}::VARCHAR")
    rows = cleaned(f"(SELECT {text}::VARCHAR AS {quoted(column.name)})", [alone])
    answer = connection.execute(f"SELECT {quoted(column.name)} FROM {rows}").fetchone()
    return "NULL::VARCHAR" if answer is None or answer[0] is None else literal(answer[0])


def _unfit(column: Column, value: str, reason: str) -> FileRefusedError:
    return FileRefusedError.for_code(
        Code.BAD_PARTITION,
        "value",
        name=column.partition,
        value=visible(value[:80]),
        column=column.name,
        reason=reason,
    )
