"""How much a file may grow when it is read: the limit on what a compressed one expands to, and Parquet kept to it.

What belongs here: limits that hold before and while something is expanded. What does not: expanding (`fetch`), and what
the values mean.

A Parquet file of a kilobyte can say one text of a megabyte a thousand million times: its dictionaries are looked at
before rows are read, so that no batch is larger than memory bears.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.settings import IngestSettings

BATCH_BYTES = 32 * 1024**2
# As text, in the memory of the engine, which is bounded.
TEXT_BATCH_BYTES = 8 * 1024**2


def allowed_bytes(size_bytes: int, settings: IngestSettings) -> int:
    """To how many bytes a file of this size may expand."""
    by_ratio = max(settings.expansion_free_bytes, settings.max_expansion_ratio * size_bytes)
    return min(settings.max_expanded_bytes, by_ratio)


def too_large(limit: int) -> FileRefusedError:
    """The verdict on a file that expands to more."""
    return FileRefusedError(
        Code.TOO_LARGE,
        f"The file expands to more than {limit:,} bytes.",
        "Split it, or raise INGEST_MAX_EXPANDED_BYTES, or INGEST_MAX_EXPANSION_RATIO if it is no bomb.",
    )


def bounded_batches(
    file: pq.ParquetFile, path: Path, most_rows: int, most_bytes: int, settings: IngestSettings
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in batches that memory bears.

    Raises:
        FileRefusedError: it expands over the limit, or holds other than as many rows as its footer says.
    """
    limit = allowed_bytes(path.stat().st_size, settings)
    meta = file.metadata
    if sum(meta.row_group(at).total_byte_size for at in range(meta.num_row_groups)) > limit:
        raise too_large(limit)
    longest = _longest_texts(file, path)
    rows_at_once = max(1, min(most_rows, most_bytes // max(1, longest)))
    expanded = rows = 0
    for batch in file.iter_batches(rows_at_once):
        expanded += batch.nbytes
        rows += batch.num_rows
        if expanded > limit:
            raise too_large(limit)
        yield batch
    if rows != meta.num_rows:
        raise FileRefusedError(
            Code.UNREADABLE_FILE,
            f"The Parquet file's footer says {meta.num_rows:,} rows, and {rows:,} are there.",
            "Write it again.",
        )


def _longest_texts(file: pq.ParquetFile, path: Path) -> int:
    """The bytes of a row that had the longest text of every column's dictionaries."""
    texts = {
        entry.name: file.schema.column(_leaf(file, entry.name, at)).path
        for at, entry in enumerate(file.schema_arrow)
        if _is_text(entry.type)
    }
    groups = range(file.metadata.num_row_groups)
    with pq.ParquetFile(path, pre_buffer=False, read_dictionary=list(texts.values())) as encoded:
        # One row brings the whole dictionary of its row group, and none of its texts more than once.
        return sum(max((_longest_of(encoded, group, name) for group in groups), default=0) for name in texts)


def _leaf(file: pq.ParquetFile, name: str, at: int) -> int:
    """Which leaf a flat column is: nested ones before it have several."""
    leaves = [leaf for leaf in range(len(file.schema)) if file.schema.column(leaf).path == name]
    return leaves[0] if leaves else at


def _longest_of(file: pq.ParquetFile, group: int, name: str) -> int:
    batch = next(file.iter_batches(1, row_groups=[group], columns=[name]), None)
    if batch is None or batch.num_columns != 1 or not pa.types.is_dictionary(batch.column(0).type):
        return 0
    return pc.max(pc.binary_length(batch.column(0).dictionary)).as_py() or 0


def _is_text(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind) or t.is_large_binary(kind))
