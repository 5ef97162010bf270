"""Reads which row a message without a value deletes: its key names the row.

What belongs here: the texts of the key's columns. What does not: what a text means (`include.ingestion.deleted_keys`),
and deleting.

A key is a JSON object with exactly the key columns of the contract, or, for a key of one column, that column's text.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from include.contracts.column_names import matching
from include.ingestion.deleted_keys import RECORDS_BEFORE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from include.contracts.model import Contract
    from include.streams.messages import Message


def write_deleted_keys(contract: Contract, messages: Sequence[Message], path: Path) -> bool:
    """Write the keys of the messages without a value as Parquet, in their order; whether there is such a message.

    A column per key column has its text, null where the message's key is not the contract's; `_records_before` counts
    the messages with a value before it.
    """
    rows = list(_deleted(contract, messages))
    names = [column.name for column in contract.key_columns]
    schema = pa.schema([*((name, pa.string()) for name in names), (RECORDS_BEFORE, pa.int64())])
    if rows:
        pq.write_table(pa.Table.from_pylist(rows, schema=schema), path)
    return bool(rows)


def _deleted(contract: Contract, messages: Sequence[Message]) -> Iterator[dict[str, object]]:
    records = 0
    for message in messages:
        if message.value is not None:
            records += 1
        else:
            yield {**key_texts(contract, message.key), RECORDS_BEFORE: records}


def key_texts(contract: Contract, key: bytes | None) -> dict[str, str]:
    """The text of each key column in a message's key; empty if it is not the contract's key."""
    names = {matching(column.name): column.name for column in contract.key_columns}
    try:
        text = (key or b"").decode()
    except UnicodeDecodeError:
        return {}
    if not text:
        return {}
    members = _members(text)
    if members is None:
        return {next(iter(names.values())): text} if len(names) == 1 else {}
    found = {matching(name): value for name, value in members}
    if len(found) < len(members) or found.keys() != names.keys() or not all(map(_is_text, found.values())):
        return {}
    return {names[name]: str(value) for name, value in found.items()}


def _members(text: str) -> list[tuple[str, object]] | None:
    """The members of a JSON object, numbers as their texts; None if the text is none."""
    if not text.lstrip().startswith("{"):
        return None
    try:
        found = json.loads(text, parse_float=str, parse_int=str, parse_constant=str, object_pairs_hook=_Members)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, list) else None


class _Members(list[tuple[str, object]]):
    """The members of an object, also those with the same name."""


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)
