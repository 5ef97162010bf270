"""JSON records as columns of text, one per key or path: then they are checked like the records of any other format.

What belongs here: mapping keys and paths to columns, and values to the texts of cells. What does not: reading
(`json_records`), rules.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from include.contracts.model import Contract, UnknownColumns
from include.contracts.paths import is_path, list_index
from include.contracts.source_names import SourceNames
from include.errors import Code, visible
from include.errors.registry import message
from include.ingestion.readers.json_values import json_cell, spelled, text_cell
from include.ingestion.records import FileFormat, FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from include.ingestion.header import ColumnMap
    from include.ingestion.readers.json_text import JsonRecord

_SHOWN = 60
_LEVELS = 4  # in which a list of records is looked for


@dataclass(frozen=True)
class JsonColumns:
    """Where the columns of a contract are in the records of a file.

    `placed` has those that are not found by a key of the record: each with the steps of its path, none for the column
    that receives the record's own key. With `holds_cells` the records are rows of a table, whose JSON is text.
    """

    contract: Contract
    placed: Mapping[str, tuple[str, ...]]
    holds_cells: bool = False

    @classmethod
    def of(cls, contract: Contract, kind: FileFormat, *, holds_cells: bool = False) -> JsonColumns:
        """The columns of a file or of messages; only documents have keys of records."""
        placed = {column.name: column.steps for column in contract.source_columns if column.steps}
        key = contract.dialect.key_column
        return cls(contract, placed if key is None or kind is FileFormat.NDJSON else {**placed, key: ()}, holds_cells)

    def is_document(self, name: str | None) -> bool:
        """Whether the values of a column are JSON themselves, and not texts with JSON in them."""
        return name is not None and not self.holds_cells and self.contract.by_name[name].type.is_document

    def of_columns(self, records: Iterator[JsonRecord]) -> Iterator[JsonRecord]:
        """The records with flat members at their paths, and without a member that repeats the record's own key.

        A record with another value in such a member is refused.
        """
        if self.flat_names is not None:
            records = map(self._with_flat, records)
        name = self.contract.dialect.key_column
        if name is None or name not in self.placed:
            return records
        # What a header of the key column would match, as for any other column.
        wanted = SourceNames.of([self.contract.by_name[name]])
        return (record if record.members is None else _without_key(record, name, wanted) for record in records)

    @cached_property
    def flat_names(self) -> SourceNames | None:
        """The names of columns that have a path and a `sourceName`: flat records have these as members."""
        flat = [column for column in self.contract.source_columns if column.source_names and column.steps]
        return SourceNames.of(flat) if flat else None

    def _with_flat(self, record: JsonRecord) -> JsonRecord:
        return record if record.members is None else record._replace(members=self.with_flat(record.members))

    def with_flat(self, members: dict[str, Any]) -> dict[str, Any]:
        """The members, in which a flat one is at the path of its column if nothing else is there."""
        if self.flat_names is None:
            return members
        for key in list(members):
            name = self.flat_names.column_of(key)
            if name is None or key in self._tree or value_at(members, self.placed[name]) is not None:
                continue
            moved = dict(members)
            if _set_at(moved, self.placed[name], moved.pop(key)):
                members = moved
        return members

    @cached_property
    def keeps_remainder(self) -> bool:
        """Whether what the paths leave of a member is kept in `_rescued`."""
        modes = {UnknownColumns.RESCUE, UnknownColumns.EVOLVE}
        return bool(self._tree) and self.contract.unknown_columns in modes

    @cached_property
    def _tree(self) -> dict[str, Any]:
        """The steps of all paths; the last step of each has an empty dictionary."""
        tree: dict[str, Any] = {}
        for steps in self.placed.values():
            inner = tree
            for step in steps:
                inner = inner.setdefault(step, {})
        for steps in self.placed.values():
            inner = tree
            for step in steps[:-1]:
                inner = inner.get(step, {})
            if steps and steps[-1] in inner:
                inner[steps[-1]] = {}
        return tree

    def remainder(self, members: Mapping[str, Any], named: Container[str]) -> dict[str, Any]:
        """What the paths leave of the members with which they begin; `named` are those that are columns themselves."""
        entered = ((key, remaining(members[key], inner)) for key, inner in self._tree.items() if key in members)
        return {key: value for key, value in entered if value is not None and key not in named}


def value_at(value: Any, steps: Iterable[str]) -> Any:
    """The value at a path inside a value; None where it leads nowhere."""
    for step in steps:
        if type(value) is dict:
            value = value.get(step)
        elif type(value) is list and (index := list_index(step)) is not None and index < len(value):
            value = value[index]
        else:
            return None
    return value


def _set_at(members: dict[str, Any], steps: Sequence[str], value: Any) -> bool:
    """Set the value at a path; False if something that has no members is in its way. Inner objects are copied."""
    *parents, last = steps
    for step in parents:
        inner = members.get(step)
        if inner is not None and type(inner) is not dict:
            return False
        members[step] = members = dict(inner or {})
    members[last] = value
    return True


def remaining(value: Any, tree: Mapping[str, Any]) -> Any:
    """What is left of a value without what the paths of `tree` lead to; None if nothing is.

    Elements of a list keep their index: null is where one was taken.
    """
    if not tree:
        return None
    if type(value) is dict:
        left = {key: remaining(member, tree[key]) if key in tree else member for key, member in value.items()}
        return {key: member for key, member in left.items() if key not in tree or member is not None} or None
    if type(value) is list:
        items = [remaining(item, tree[str(at)]) if str(at) in tree else item for at, item in enumerate(value)]
        return items if any(item is not None for item in items) else None
    return value


def _without_key(record: JsonRecord, name: str, wanted: SourceNames) -> JsonRecord:
    members = record.members or {}
    same = [member for member in members if wanted.column_of(member) is not None]
    for member in same:
        if members[member] is not None and text_cell(members[member]) != record.key:
            key, shown = visible((record.key or "")[:_SHOWN]), visible(member[:_SHOWN])
            fault = message(Code.DUPLICATE_COLUMNS, "key column", key=key, member=shown, column=name)
            return record._replace(members=None, code=Code.DUPLICATE_COLUMNS, message=fault)
    return record._replace(members={key: members[key] for key in members if key not in same}) if same else record


def one_spelling(batch: list[JsonRecord], known: set[str], columns: JsonColumns, *, alone: bool) -> list[JsonRecord]:
    """Add the keys of the records to `known`, in which each column of the contract has one key.

    Independent records (`alone`), such as messages, may differ in the spelling of keys: each key gets the name of its
    column. In a file that is an error.

    Raises:
        FileRefusedError: a column of the contract has keys that differ in case, spaces or dashes only.
    """
    for record in batch:
        if record.members is not None:
            known.update(record.members)
    wanted = SourceNames.of(columns.contract.columns, columns.placed)
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


def json_table(batch: Sequence[JsonRecord], first: int, columns: ColumnMap, given: JsonColumns) -> pa.Table:
    """The readable records as a table.

    Its columns are `_source_row` from `first`, `_source_line`, `_raw`, one for each key (c0, c1 ...), one for each
    placed column (p0, p1 ...) and `rescued`.
    """
    kept = [(first + at, record) for at, record in enumerate(batch) if record.members is not None]
    members = [record.members for _, record in kept if record.members is not None]
    arrays = {
        "_source_row": pa.array([row for row, _ in kept], pa.int64()),
        "_source_line": pa.array([record.line for _, record in kept], pa.int64()),
        "_raw": pa.array([record.raw for _, record in kept], pa.string()),
    }
    for at, (key, name) in enumerate(zip(columns.given, columns.names, strict=True)):
        cell = json_cell if given.is_document(name) else text_cell
        arrays[f"c{at}"] = pa.array([cell(record.get(key)) for record in members], pa.string())
    for at, name in enumerate(columns.placed):
        cell, steps = json_cell if given.is_document(name) else text_cell, given.placed[name]
        if steps:
            values = [cell(value_at(record, steps)) for record in members]
        else:
            values = [cell(record.key) for _, record in kept]
        arrays[f"p{at}"] = pa.array(values, pa.string())
    arrays["rescued"] = pa.array(_rescued(members, columns, given), pa.string())
    return pa.table(arrays)


def _rescued(members: list[dict[str, Any]], columns: ColumnMap, given: JsonColumns) -> list[str | None]:
    """The unknown members of each record, and what paths leave of the others, as JSON."""
    is_rescue = given.contract.unknown_columns is UnknownColumns.RESCUE
    unknown = {columns.given[at] for at, _ in columns.extra} if is_rescue else set()
    named = {key for key, name in zip(columns.given, columns.names, strict=True) if name is not None}
    if not (unknown or given.keeps_remainder):
        return [None] * len(members)
    parts = [{key: value for key, value in record.items() if key in unknown} for record in members]
    if given.keeps_remainder:
        parts = [part | given.remainder(record, named) for part, record in zip(parts, members, strict=True)]
    return [spelled(part) if part else None for part in parts]


def without_record_path(refusal: FileRefusedError, batch: Sequence[JsonRecord]) -> FileRefusedError:
    """The refusal, which names a likely record path if a record has a list of objects inside."""
    if refusal.code is not Code.MISSING_COLUMNS or not batch:
        return refusal
    path = _likely_path(batch[0].members or {})
    if path is None:
        return refusal
    return FileRefusedError.for_code(Code.MISSING_COLUMNS, "record path", reason=refusal.message, path=visible(path))


def _likely_path(members: dict[str, Any]) -> str | None:
    """The path of the longest list of objects near the top of an object."""
    found: list[tuple[int, str]] = []
    level: list[tuple[str, Any]] = [(key, value) for key, value in members.items() if is_path(key) and "." not in key]
    for _ in range(_LEVELS):
        lists = [(path, value) for path, value in level if type(value) is list and value]
        found += [(len(value), path) for path, value in lists if all(type(item) is dict for item in value)]
        inside = [(path, value) for path, value in level if type(value) is dict]
        level = [(f"{path}.{key}", inner) for path, value in inside for key, inner in value.items() if "." not in key]
    paths = [path for _, path in sorted(found, key=lambda one: -one[0])]
    return next(filter(is_path, paths), None)
