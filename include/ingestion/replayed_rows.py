"""Takes only some rows of a file, by their numbers: those whose rejects are replayed.

What belongs here: choosing rows while validate reads, and checking that they are the same rows as before. What does
not: where the numbers come from (`replay`).
"""

from __future__ import annotations

from operator import eq
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import Code
from include.ingestion.chunk_query import Chunk
from include.ingestion.readers.raw_records import OpenFile, raw_records
from include.ingestion.records import FileRefusedError, Reject, ReplayedRows, Validated
from include.ingestion.rejects import storable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator


def taken(tables: Iterable[pa.Table], replayed: ReplayedRows | None) -> Iterator[pa.Table]:
    """The tables with the replayed rows alone; unchanged if the whole file is read."""
    for table in tables:
        yield table if replayed is None else _rows_of(table, replayed)


def taken_of(chunk: Chunk, replayed: ReplayedRows) -> Chunk:
    """A chunk of the slow path with the replayed rows alone."""
    rejects = [reject for reject in chunk.rejects if _is_taken(reject, replayed)]
    good = _rows_of(chunk.good, replayed)
    return Chunk(good.num_rows + len({reject.source_row for reject in rejects}), good, rejects)


def check_replayed(file: OpenFile, replayed: ReplayedRows, validated: Validated) -> None:
    """Check that the rows of these numbers are those that were rejected: another dialect may number the rows otherwise.

    Raises:
        FileRefusedError: a row is not there, or the first ones have another text.
    """
    numbers = np.array(sorted(replayed.texts), dtype=np.int64)
    is_same = _is_same_row if file.layout.format.is_workbook else eq
    if validated.rows_read == len(replayed.numbers):
        texts = {number: storable(text) for number, _, text in raw_records(file, numbers)}
        if len(texts) == len(numbers) and all(
            is_same(storable(text), texts[number]) for number, text in replayed.texts.items()
        ):
            return
    dataset = file.attempt.contract.dataset
    raise FileRefusedError.for_code(Code.REPLAY_IMPOSSIBLE, "numbers", file_id=replayed.file_id, dataset=dataset)


def _is_same_row(before: str, now: str) -> bool:
    """Whether two texts are of one row of a workbook. Its dialect may have other nulls and another decimal mark."""
    if before == now:
        return True
    try:
        old, new = orjson.loads(before), orjson.loads(now)
    except orjson.JSONDecodeError:  # only the beginning of a long row is kept
        return False
    if not (isinstance(old, dict) and isinstance(new, dict) and old.keys() == new.keys()):
        return False
    cells = [(_usual(old[name]), _usual(new[name])) for name in old]
    values = [(one, other) for one, other in cells if one is not None and other is not None]
    return bool(values) and all(one == other for one, other in values)


def _usual(cell: Any) -> Any:
    return cell.replace(",", ".") if isinstance(cell, str) else cell


def judge_replayed(validated: Validated) -> None:
    """Refuse a replay without a good row. It has no error budget: its rows were within that of their file.

    Raises:
        FileRefusedError: every row is refused again.
    """
    rejects = validated.rejects
    if rejects.rows < validated.rows_read:
        return
    example = f" First: {rejects.first[0].message} [{rejects.first[0].code}]" if rejects.first else ""
    raise FileRefusedError.for_code(Code.REPLAY_IMPOSSIBLE, "still refused", rows=rejects.rows, example=example).about(
        layout=validated.layout, rows_read=validated.rows_read, rejects=rejects
    )


def _rows_of(table: pa.Table, replayed: ReplayedRows) -> pa.Table:
    return table.filter(pc.is_in(table["_source_row"], value_set=pa.array(replayed.numbers, pa.int64())))


def _is_taken(reject: Reject, replayed: ReplayedRows) -> bool:
    numbers = replayed.numbers
    at = int(np.searchsorted(numbers, reject.source_row))
    return at < len(numbers) and int(numbers[at]) == reject.source_row
