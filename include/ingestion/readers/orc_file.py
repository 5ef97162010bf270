"""Opens ORC files and reads their rows in batches that fit into memory.

What belongs here: everything that depends on how the file is encoded. What does not: what its values mean.

A stripe may be the whole file, so stripes are read in pieces. ORC keeps a text that repeats once per stripe, and does
not say how long it is: files with texts are read a few rows at a time.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow import orc

from include.errors import Code, reason_of
from include.ingestion.expansion import allowed_bytes, too_large
from include.ingestion.readers.parquet_file import MOST_CELLS
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.settings import IngestSettings

_TEXT_ROWS = 256
_MAGIC = b"ORC"


@contextmanager
def open_orc(path: Path, settings: IngestSettings) -> Iterator[OrcRows]:
    """Open an ORC file.

    Raises:
        FileRefusedError: it is cut off, or cannot be read: also if it has a timestamp before 1677 or after 2262.
    """
    with path.open("rb") as stream:
        stream.seek(-min(len(_MAGIC) + 1, path.stat().st_size), 2)
        if stream.read(len(_MAGIC)) != _MAGIC:
            raise FileRefusedError.for_code(Code.TRUNCATED_FILE, "columnar", format="ORC")
    try:
        yield OrcRows(path, settings)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FileRefusedError.for_code(
            Code.UNREADABLE_FILE, "columnar", format="ORC", reason=reason_of(error)
        ) from error


class OrcRows:
    """The rows of an ORC file."""

    def __init__(self, path: Path, settings: IngestSettings) -> None:
        self._path = path
        self._limit = allowed_bytes(path.stat().st_size, settings)
        file = orc.ORCFile(str(path))
        self.schema_arrow: pa.Schema = file.schema
        self._rows: int = file.nrows

    def batches(self, most_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """The rows in batches.

        Raises:
            FileRefusedError: they expand over the limit, or are not as many as the file says.
        """
        rows_at_once = min(most_rows, MOST_CELLS // max(1, len(self.schema_arrow)))
        if any(map(_has_text, self.schema_arrow.types)):
            rows_at_once = min(rows_at_once, _TEXT_ROWS)
        data = ds.dataset(str(self._path), format="orc", schema=self.schema_arrow)
        scanner = data.scanner(
            batch_size=max(1, rows_at_once), batch_readahead=0, fragment_readahead=0, use_threads=False
        )
        expanded = rows = 0
        for batch in scanner.to_batches():
            rows += batch.num_rows
            expanded += batch.nbytes + batch.num_rows
            if expanded > self._limit:
                raise too_large(self._limit)
            if batch.nbytes <= most_bytes:
                yield batch
            else:
                yield from (batch.slice(at, 1) for at in range(batch.num_rows))
        if rows != self._rows:
            raise FileRefusedError.for_code(
                Code.UNREADABLE_FILE, "footer", format="ORC", expected=self._rows, rows=rows
            )


def _has_text(kind: pa.DataType) -> bool:
    t = pa.types
    if t.is_nested(kind):
        return any(_has_text(kind.field(at).type) for at in range(kind.num_fields))
    return bool(t.is_string(kind) or t.is_binary(kind) or t.is_large_string(kind) or t.is_large_binary(kind))
