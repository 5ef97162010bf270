"""Opens Parquet files and reads their rows in batches that fit into memory.

What belongs here: everything that depends on how the file is encoded. What does not: what its values mean
(`parquet_text`, `vectorised`), and how large a file may be (`expansion`).

A Parquet file of a kilobyte can repeat one text of a megabyte a million times, by a dictionary or by DELTA_BYTE_ARRAY
(each value as a prefix of the one before). Dictionaries are measured before rows are read; texts that are not in a
dictionary, and whose column may be DELTA encoded, are read a few rows at a time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from include.errors import Code
from include.ingestion.expansion import allowed_bytes, too_large
from include.ingestion.readers.int96 import int96_columns, without_wrapped
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.settings import IngestSettings

# 500 columns of 2,000 rows, or 15 of 65,536: more cells than this are never held at once.
MOST_CELLS = 1_000_000
_DELTA_ROWS = 64
_DELTA = "DELTA_BYTE_ARRAY"
_NULL_OF_FIXED_SIZE = "Expected all lists to be of size"


@contextmanager
def open_parquet(path: Path, **options: Any) -> Iterator[pq.ParquetFile]:
    """Open the file, and close it at the end. Every reader of Parquet uses this function: all read the same values.

    INT96 is read in microseconds: as nanoseconds it holds the years 1677 to 2262 only, and others wrap around. The
    module `int96` finds timestamps that wrap around in microseconds too.

    Raises:
        FileRefusedError: its footer or a page cannot be read, or a page does not match its checksum.
    """
    try:
        options = {"coerce_int96_timestamp_unit": "us", **options}
        with pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True, **options) as file:
            yield file
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0]
        # Arrow writes a null among lists of a fixed size but cannot read it: writing the file again does not help.
        raise FileRefusedError.for_code(
            Code.UNREADABLE_FILE,
            "columnar list" if _NULL_OF_FIXED_SIZE in reason else "columnar",
            format="Parquet",
            reason=reason,
        ) from error


def bounded_batches(
    file: pq.ParquetFile, path: Path, most_rows: int, most_bytes: int, settings: IngestSettings
) -> Iterator[pa.RecordBatch]:
    """The rows of a Parquet file in batches that fit into memory.

    Raises:
        FileRefusedError: it expands over the limit, or its number of rows differs from its footer.
    """
    limit = allowed_bytes(path.stat().st_size, settings)
    meta = file.metadata
    if sum(meta.row_group(at).total_byte_size for at in range(meta.num_row_groups)) > limit:
        raise too_large(limit)
    rows_at_once = _rows_at_once(file, path, most_rows, most_bytes)
    expanded = rows = 0
    for batch in _batches(file, path, rows_at_once):
        expanded += batch.nbytes
        rows += batch.num_rows
        if expanded > limit:
            raise too_large(limit)
        yield batch
    if rows != meta.num_rows:
        raise FileRefusedError.for_code(
            Code.UNREADABLE_FILE, "footer", format="Parquet", expected=meta.num_rows, rows=rows
        )


def _batches(file: pq.ParquetFile, path: Path, rows_at_once: int) -> Iterator[pa.RecordBatch]:
    names = int96_columns(file)
    if not names:
        yield from file.iter_batches(rows_at_once)
        return
    with open_parquet(path, coerce_int96_timestamp_unit="s") as in_seconds:
        yield from without_wrapped(
            file.iter_batches(rows_at_once), in_seconds.iter_batches(rows_at_once, columns=names)
        )


def _rows_at_once(file: pq.ParquetFile, path: Path, most_rows: int, most_bytes: int) -> int:
    texts: dict[str, str] = {
        entry.name: file.schema.column(_leaf(file, entry.name, at)).path
        for at, entry in enumerate(file.schema_arrow)
        if _is_text(entry.type)
    }
    widths = [entry.type.byte_width for entry in file.schema_arrow if pa.types.is_fixed_size_binary(entry.type)]
    longest, delta_bytes = sum(widths), 0
    with open_parquet(path, read_dictionary=list(texts.values())) as encoded:
        for name, leaf in texts.items():
            in_dictionary, in_delta = _longest_of(encoded, name, leaf)
            longest += in_dictionary
            delta_bytes = max(delta_bytes, in_delta)
    rows: int = min(most_rows, most_bytes // max(1, longest), MOST_CELLS // max(1, len(file.schema_arrow)))
    if delta_bytes:
        # No value of a DELTA encoded page is longer than all bytes of the column.
        rows = min(rows, max(_DELTA_ROWS, most_bytes // delta_bytes))
    return max(1, rows)


def _leaf(file: pq.ParquetFile, name: str, at: int) -> int:
    """The index of a flat column's leaf: nested columns before it have several leaves."""
    leaves = [leaf for leaf in range(len(file.schema)) if file.schema.column(leaf).path == name]
    return leaves[0] if leaves else at


def _longest_of(file: pq.ParquetFile, name: str, leaf: str) -> tuple[int, int]:
    """The bytes of the longest text in a column's dictionaries, and of its largest DELTA encoded chunk."""
    longest = delta = 0
    for group in range(file.metadata.num_row_groups):
        chunk = _chunk(file, group, leaf)
        if chunk is not None and _DELTA in chunk.encodings:
            delta = max(delta, chunk.total_uncompressed_size)
        try:
            # Reading one row loads the whole dictionary of its row group, with each text once.
            batch = next(file.iter_batches(1, row_groups=[group], columns=[name]), None)
        except OSError:
            # Arrow reads DELTA encodings, but not into a dictionary. Any other fault is found when rows are read.
            delta = max(delta, file.metadata.row_group(group).total_byte_size)
            continue
        if batch is not None and batch.num_columns == 1 and pa.types.is_dictionary(batch.column(0).type):
            longest = max(longest, pc.max(pc.binary_length(batch.column(0).dictionary)).as_py() or 0)
    return longest, delta


def _chunk(file: pq.ParquetFile, group: int, leaf: str) -> Any:
    row_group = file.metadata.row_group(group)
    for at in range(row_group.num_columns):
        if row_group.column(at).path_in_schema == leaf:
            return row_group.column(at)
    return None


def _is_text(kind: pa.DataType) -> bool:
    t = pa.types
    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind) or t.is_large_binary(kind))
