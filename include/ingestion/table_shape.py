"""Compares the table in the warehouse with the contract: types, key, and constraints on a row.

What belongs here: finding differences, with the remedy for each. What does not: changing the table
(`ops.ensure_dataset` adds columns and widens types where no value changes).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from include.contracts.types import TYPES
from include.errors import Code
from include.ingestion.records import FileRefusedError
from include.stores.sql_text import quoted, quoted_list, statement

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from include.stores.warehouse import Connection

_TABLE_KINDS = {"r", "p"}
DELETED_AT = "_deleted_at"
LINEAGE = {"_file_id": "bigint", "_source_row": "bigint", "_loaded_at": "timestamptz", "_rescued": "jsonb"}


@dataclass(frozen=True)
class WantedColumn:
    """A column of the contract, or one that a file adds; `type` is as in a CREATE TABLE of PostgreSQL."""

    name: str
    type: str
    required: bool = False


@dataclass(frozen=True)
class _TableColumn:
    """A column of the table. `may_widen`: its type can become the wanted one without a change of any value."""

    name: str
    is_not_null: bool
    type: str
    has_default: bool
    is_generated: bool
    is_key: bool
    may_widen: bool


@dataclass(frozen=True)
class Difference:
    """A difference that refuses a load, and the statement or step that removes it. `column` is None for the table."""

    text: str
    remedy: str
    column: str | None = None


@dataclass(frozen=True)
class TableShape:
    """The result of a comparison. `missing`: columns that the table lacks, or has with another type than wanted.

    `types` has the table's columns without those of FileGate, None where there is no table; `key` is the table's.
    `has_marks`: the table has the column `_deleted_at`, which marks deleted rows, whatever the contract says now.
    """

    missing: tuple[str, ...]
    found: tuple[Difference, ...] = ()
    types: Mapping[str, str] | None = None
    key: tuple[str, ...] = ()
    has_marks: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the table has all columns, in the wanted types."""
        return not self.missing

    @property
    def differences(self) -> tuple[str, ...]:
        """What refuses a load."""
        return tuple(one.text for one in self.found)

    @property
    def remedies(self) -> tuple[str, ...]:
        """The remedy of each difference, each remedy once."""
        return tuple(dict.fromkeys(one.remedy for one in self.found))


def compare(connection: Connection, dataset: str, wanted: Iterable[WantedColumn], key: tuple[str, ...]) -> TableShape:
    """Compare the table of a dataset with the columns and the key of its contract.

    Args:
        connection: to the warehouse.
        dataset: whose table.
        wanted: the contract's columns, and those that a file adds.
        key: the contract's.
    """
    columns = tuple(replace(column, required=column.required or column.name in key) for column in wanted)
    named = json.dumps([{"name": column.name, "type": column.type} for column in columns])
    rows = connection.execute(statement("read_table"), {"dataset": dataset, "columns": named}).fetchall()
    if not rows:
        return TableShape(tuple(column.name for column in columns))
    if rows[0][0] == "unlogged":
        what = f"raw.{dataset} is UNLOGGED: a crash of PostgreSQL empties it, and its files would still count as loaded"
        return TableShape((), (Difference(what, f"ALTER TABLE raw.{dataset} SET LOGGED"),), {})
    if rows[0][0] not in _TABLE_KINDS:
        return TableShape((), (Difference(f"raw.{dataset} is no table", f"drop or rename raw.{dataset}"),), {})
    table = {row[1]: _TableColumn(*row[1:]) for row in rows if row[1] is not None}
    # The statement about the key comes first: a column of the key cannot be made to allow null.
    found = [
        *_key_difference(dataset, table, key),
        *(difference for column in columns if (difference := _column_difference(dataset, column, table))),
        *_lineage_differences(dataset, table),
        *_surplus_differences(dataset, {column.name for column in columns}, table),
    ]
    missing = tuple(
        column.name
        for column in columns
        if column.name not in table or table[column.name].type != _catalogue_name(column.type)
    )
    types = {name: column.type for name, column in table.items() if name not in {*LINEAGE, DELETED_AT}}
    there = tuple(column.name for column in table.values() if column.is_key)
    return TableShape(missing, tuple(found), types, there, has_marks=DELETED_AT in table)


def refuse(dataset: str, shape: TableShape) -> None:
    """Refuse a file whose contract differs from the table.

    Raises:
        FileRefusedError: there is a difference.
    """
    if shape.differences:
        raise FileRefusedError.for_code(
            Code.TABLE_DIFFERS,
            "differences",
            dataset=dataset,
            differences="; ".join(shape.differences),
            statements="; ".join(shape.remedies),
        )


def _column_difference(dataset: str, wanted: WantedColumn, table: dict[str, _TableColumn]) -> Difference | None:
    there = table.get(wanted.name)
    if there is None:
        return None  # it will be added; `_key_difference` reports a missing column of the key
    alter = f"ALTER TABLE raw.{dataset} ALTER COLUMN {quoted(wanted.name)}"
    if there.is_generated:
        return Difference(
            f"the column {wanted.name} is generated by the table, and the contract gives its values",
            f"{alter} DROP EXPRESSION",
            wanted.name,
        )
    if there.type != _catalogue_name(wanted.type) and not there.may_widen:
        return Difference(
            f"the column {wanted.name} is {there.type} in the table and {wanted.type} in the contract",
            f"{alter} TYPE {wanted.type} USING {quoted(wanted.name)}::{wanted.type}",
            wanted.name,
        )
    if there.is_not_null and not wanted.required:
        return Difference(
            f"the column {wanted.name} is NOT NULL in the table and may be empty in the contract",
            f"{alter} DROP NOT NULL",
            wanted.name,
        )
    return None


def _lineage_differences(dataset: str, table: dict[str, _TableColumn]) -> list[Difference]:
    found = []
    for name, kind in LINEAGE.items():
        there = table.get(name)
        if there is None or there.type != _catalogue_name(kind) or there.is_generated:
            what = "missing" if there is None else there.type
            remedy = f"drop or rename raw.{dataset}, which FileGate did not make"
            text = f"the column {name} is {what} in the table and FileGate writes {kind}"
            found.append(Difference(text, remedy, name))
    return found


def _surplus_differences(dataset: str, wanted: set[str], table: dict[str, _TableColumn]) -> list[Difference]:
    """Differences of columns that the contract does not have: they stay in the table, and must allow null."""
    return [
        Difference(
            f"the column {column.name} is NOT NULL in the table and not in the contract",
            f"ALTER TABLE raw.{dataset} ALTER COLUMN {quoted(column.name)} DROP NOT NULL",
            column.name,
        )
        for column in table.values()
        if column.name not in wanted and column.name not in LINEAGE
        if column.is_not_null and not (column.has_default or column.is_generated)
    ]


def _key_difference(dataset: str, table: dict[str, _TableColumn], key: tuple[str, ...]) -> list[Difference]:
    there = [column.name for column in table.values() if column.is_key]
    if set(there) == set(key):
        return []
    shown = f"({', '.join(there)})" if there else "none"
    drop = f"DROP CONSTRAINT {quoted(dataset + '_pkey')}, " if there else ""
    missing = [name for name in key if name not in table]
    first = f"add and fill {', '.join(missing)}, then " if missing else ""
    return [
        Difference(
            f"the key is {shown} in the table and ({', '.join(key)}) in the contract",
            f"{first}ALTER TABLE raw.{dataset} {drop}ADD PRIMARY KEY ({quoted_list(key)})",
        )
    ]


def _catalogue_name(kind: str) -> str:
    return next((one.catalogue for one in TYPES.values() if one.postgres == kind and one.catalogue), kind)
