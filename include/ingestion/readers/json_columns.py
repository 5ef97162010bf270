"""JSON records as columns of text, one per key: then they are checked like the records of any other format.

What belongs here: mapping keys to columns, and values to the texts of cells. What does not: reading (`json_text`),
rules.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa

from include.contracts.model import Contract, UnknownColumns
from include.contracts.source_names import SourceNames
from include.errors import Code
from include.errors.registry import message
from include.ingestion.readers.json_values import json_cell, spelled, text_cell
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from include.ingestion.header import ColumnMap
    from include.ingestion.readers.json_text import JsonRecord


def one_spelling(batch: list[JsonRecord], known: set[str], contract: Contract, *, alone: bool) -> list[JsonRecord]:
    """Add the keys of the records to `known`, in which each column of the contract has one key.

    Independent records (`alone`), such as messages, may differ in the spelling of keys: each key gets the name of its
    column. In a file that is an error.

    Raises:
        FileRefusedError: a column of the contract has keys that differ in case, spaces or dashes only.
    """
    for record in batch:
        if record.members is not None:
            known.update(record.members)
    wanted = SourceNames.of(contract.columns)
    keys: dict[str, list[str]] = defaultdict(list)
    for key in sorted(known):
        if (name := wanted.column_of(key)) is not None:
            keys[name].append(key)
    several = {name: found for name, found in keys.items() if len(found) > 1}
    if not several:
        return batch
    if not alone:
        name, found = next(iter(several.items()))
        shown = " and ".join(f"'{key}'" for key in found[:5])
        raise FileRefusedError.for_code(Code.DUPLICATE_COLUMNS, "keys", keys=shown, column=name)
    renamed = {key: name for name, found in several.items() for key in found}
    known.difference_update(renamed)
    known.update(several)
    return [_renamed(record, renamed) for record in batch]


def _renamed(record: JsonRecord, names: dict[str, str]) -> JsonRecord:
    if record.members is None:
        return record
    members = {names.get(key, key): value for key, value in record.members.items()}
    if len(members) == len(record.members):
        return record._replace(members=members)
    fault = message(Code.DUPLICATE_COLUMNS, "keys of a record")
    return record._replace(members=None, code=Code.DUPLICATE_COLUMNS, message=fault)


def json_table(batch: Sequence[JsonRecord], first: int, columns: ColumnMap, contract: Contract) -> pa.Table:
    """The readable records as a table: `_source_row` from `first`, `_source_line`, `_raw`, c0, c1 ... and `rescued`."""
    kept = [(first + at, record) for at, record in enumerate(batch) if record.members is not None]
    members = [record.members for _, record in kept if record.members is not None]
    arrays = [
        pa.array([row for row, _ in kept], pa.int64()),
        pa.array([record.line for _, record in kept], pa.int64()),
        pa.array([record.raw for _, record in kept], pa.string()),
    ]
    for key, name in zip(columns.given, columns.names, strict=True):
        is_json = name is not None and contract.by_name[name].type.is_document
        cell = json_cell if is_json else text_cell
        arrays.append(pa.array([cell(record.get(key)) for record in members], pa.string()))
    unknown = {columns.given[at] for at, _ in columns.extra}
    if unknown and contract.unknown_columns is UnknownColumns.RESCUE:
        parts = [{key: value for key, value in record.items() if key in unknown} for record in members]
        arrays.append(pa.array([spelled(part) if part else None for part in parts], pa.string()))
    else:
        arrays.append(pa.nulls(len(kept), pa.string()))
    names = ["_source_row", "_source_line", "_raw", *(f"c{at}" for at in range(len(columns.given))), "rescued"]
    return pa.Table.from_arrays(arrays, names=names)
