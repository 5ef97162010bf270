"""Columns of a contract that have a path, found inside the nested columns of a columnar file.

What belongs here: structures, lists and maps of Arrow. What does not: paths into JSON (`json_columns`), whose meaning
is the same: a step is the name of a member or the index of a list element, and a path that leads nowhere gives null.

A column that has a `sourceName` too is found by its names in a file without the path's first column.

A nested column with which a path begins is no unknown column. What the paths leave of it is kept in `_rescued`, where
the contract keeps unknown columns.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from include.contracts.model import Contract, UnknownColumns
from include.contracts.paths import list_index
from include.ingestion.header import map_columns, refuse_nul
from include.ingestion.readers.nested_json import as_list

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from include.ingestion.readers.columnar import ColumnarFile


class PlacedColumns:
    """A columnar file as the columns of a contract: its own, and behind them those that are found by a path.

    Args:
        file: the open file.
        contract: what it should be.
        max_columns: how many it may have.

    Raises:
        FileRefusedError: too many, duplicate or missing columns, or unknown ones where the contract refuses them.
    """

    def __init__(self, file: ColumnarFile, contract: Contract, max_columns: int) -> None:
        self._file = file
        names = file.schema_arrow.names
        refuse_nul(names)
        placed = {
            column.name: column.steps for column in contract.source_columns
            if column.steps and not (column.source_names and column.steps[0] not in names)
        }  # fmt: skip
        found = map_columns(names, contract, max_columns, placed=placed)
        self._paths = list(placed.values())
        keeps = contract.unknown_columns in {UnknownColumns.RESCUE, UnknownColumns.EVOLVE}
        entered = {steps[0] for steps in self._paths}
        self._remainders = [
            at for at, name in enumerate(names) if keeps and name in entered and found.names[at] is None
        ]
        self.schema_arrow = self._placed(_empty(file)).schema
        left = [(at, names[at]) for at in self._remainders if not pa.types.is_null(self.schema_arrow.field(at).type)]
        self.columns = replace(
            found,
            given=(*names, *(".".join(steps) for steps in self._paths)),
            names=(*found.names, *placed),
            placed=(),
            remainders=tuple(left),
        )

    def batches(self, most_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """All rows in batches that fit into memory."""
        return map(self.placed, stored_batches(self._file, most_rows, most_bytes))

    def placed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """A batch of the file with the columns that are found by a path."""
        return self._placed(batch) if self._paths else batch

    def _placed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        arrays, names = list(batch.columns), batch.schema.names
        inside = [value_at(arrays[names.index(steps[0])], steps[1:]) if steps[0] in names else pa.nulls(len(batch))
                  for steps in self._paths]  # fmt: skip
        for at in self._remainders:
            arrays[at] = remaining(arrays[at], [steps[1:] for steps in self._paths if steps[0] == names[at]])
        paths = [".".join(steps) for steps in self._paths]
        return pa.RecordBatch.from_arrays([*arrays, *inside], names=[*names, *paths])


def stored_batches(file: ColumnarFile, most_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
    """All rows as the file has them, small batches combined into larger ones: each query has a fixed cost."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in file.batches(most_rows, most_bytes):
        if waiting and (rows + batch.num_rows > most_rows or size + batch.nbytes > most_bytes):
            yield pa.concat_batches(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if waiting:
        yield pa.concat_batches(waiting)


def _empty(file: ColumnarFile) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(
        [pa.nulls(0, kind) for kind in file.schema_arrow.types], names=file.schema_arrow.names
    )


def value_at(column: pa.Array, steps: Sequence[str]) -> pa.Array:
    """The values at a path inside of a column; null where it leads nowhere."""
    for step in steps:
        column = _member(_stored(column), step)
    return column


def _stored(column: pa.Array) -> pa.Array:
    return column.storage if isinstance(column.type, pa.BaseExtensionType) else column


def _member(column: pa.Array, step: str) -> pa.Array:
    t, kind = pa.types, column.type
    if t.is_struct(kind):
        at = kind.get_field_index(step)
        return pa.nulls(len(column)) if at < 0 else pc.struct_field(column, [at])
    if t.is_map(kind):
        key = kind.key_type
        is_text = t.is_string(key) or t.is_large_string(key)
        return pc.map_lookup(column, pa.scalar(step, key), "last") if is_text else pa.nulls(len(column))
    index = list_index(step)
    if t.is_list(kind) or t.is_large_list(kind) or t.is_fixed_size_list(kind):
        return pa.nulls(len(column)) if index is None else _element(as_list(column), index)
    return pa.nulls(len(column))


def _element(lists: pa.ListArray, index: int) -> pa.Array:
    """The elements of lists at an index; null where a list is shorter."""
    starts = lists.offsets.slice(0, len(lists))
    has_element = pc.greater(pc.list_value_length(lists), index)
    return lists.values.take(pc.if_else(has_element, pc.add(starts, index), pa.scalar(None, starts.type)))


def remaining(column: pa.Array, paths: Sequence[tuple[str, ...]]) -> pa.Array:
    """What paths leave of a structure; a list or map with a path inside is left whole. Null if nothing is left."""
    if any(not steps for steps in paths):
        return pa.nulls(len(column))
    stored = _stored(column)
    if not pa.types.is_struct(stored.type) or not paths:
        return column
    kept: list[tuple[str, Any]] = []
    for at, entry in enumerate(stored.type):
        inside = [steps[1:] for steps in paths if steps[0] == entry.name]
        child = pc.struct_field(stored, [at])
        child = remaining(child, inside) if inside else child
        if not (inside and pa.types.is_null(child.type)):
            kept.append((entry.name, child))
    if not kept:
        return pa.nulls(len(column))
    return pa.StructArray.from_arrays([child for _, child in kept], [name for name, _ in kept], mask=stored.is_null())
