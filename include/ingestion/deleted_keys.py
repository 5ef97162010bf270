"""The keys of rows that messages delete: typed as those of rows, without the keys of rows that came later.

What belongs here: which of a batch's deletes apply. What does not: reading a message's key (`include.streams`), and
deleting (`deletes`).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq

from include.contracts.expressions import literal, quoted
from include.ingestion.loaded_rows import as_loaded, parquet_rows
from include.ingestion.readers.vectorised import validated_schema
from include.ingestion.records import DeletedKeys, Validated
from include.ingestion.refused_keys import key_list
from include.ingestion.rules import cleaned, reading_checks, typed

if TYPE_CHECKING:
    from pathlib import Path

    from include.contracts.model import Contract
    from include.ingestion.readers.raw_records import OpenFile

RECORDS_BEFORE = "_records_before"
_TEXT_OF = "text of "


def with_deleted_keys(file: OpenFile, validated: Validated, deletes: Path | None) -> Validated:
    """The validated batch with the keys of the rows that it deletes, in the order of its messages.

    A delete is ignored if its key cannot be read. It is superseded if a row of its key comes after it, which is then
    the state of that key.

    Args:
        file: the batch.
        validated: its rows.
        deletes: the texts of keys (Parquet), with the number of records before each; None if there is no delete.
    """
    if deletes is None:
        return validated
    contract, connection = file.attempt.contract, file.connection
    if not validated.path.exists():  # every message is a delete
        pq.write_table(validated_schema(contract).empty_table(), validated.path)
    connection.execute(f"CREATE TEMP TABLE deletes AS SELECT * FROM {_typed(contract, deletes)}")
    total = pq.read_metadata(deletes).num_rows
    row = connection.execute("SELECT count(*) FROM deletes").fetchone()
    readable = int(row[0]) if row else 0
    key = ", ".join(quoted(name) for name in contract.key)
    same = " AND ".join(f"r.{quoted(name)} = d.{quoted(name)}" for name in contract.key)
    rows = as_loaded(contract, parquet_rows(validated.path), connection)
    path = validated.path.with_name("deleted_keys.parquet")
    connection.execute(
        f"COPY (SELECT {key_list(contract)} FROM (SELECT {key}, max({RECORDS_BEFORE}) AS {RECORDS_BEFORE} FROM deletes "
        f"GROUP BY {key}) AS d WHERE NOT EXISTS (SELECT 1 FROM {rows} AS r WHERE {same} "
        f"AND r._source_row > d.{RECORDS_BEFORE})) TO {literal(str(path))} (FORMAT parquet)"
    )
    return replace(validated, deleted_keys=DeletedKeys(path, total - readable))


def _typed(contract: Contract, deletes: Path) -> str:
    """The deletes whose keys can be read, with typed and cleaned keys."""
    columns = contract.key_columns
    texts = ", ".join(f"{quoted(column.name)} AS {_text_of(column.name)}" for column in columns)
    values = ", ".join(
        f"{typed(column, _text_of(column.name))} AS {quoted(column.name)}, {_text_of(column.name)}"
        for column in columns
    )
    rows = f"(SELECT {texts}, {RECORDS_BEFORE} FROM {parquet_rows(deletes)})"
    rows = cleaned(f"(SELECT {values}, {RECORDS_BEFORE} FROM {rows})", columns)
    faults = [f"{quoted(column.name)} IS NULL" for column in columns]
    for column in columns:
        checks = reading_checks(column, _text_of(column.name), quoted(column.name))
        faults += [f"coalesce({check.broken}, false)" for check in checks]
    names = ", ".join(quoted(column.name) for column in columns)
    return f"(SELECT {names}, {RECORDS_BEFORE} FROM {rows} WHERE NOT ({' OR '.join(faults)}))"


def _text_of(name: str) -> str:
    return quoted(_TEXT_OF + name)
