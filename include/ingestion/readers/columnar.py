"""Opens a file of typed columns, whatever its format: Parquet, ORC, or Arrow's own.

What belongs here: the choice of the reader, and columns that are found by a path into nested ones. What does not:
reading one of the formats, and what values mean (`parquet_text`, `vectorised`).
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from include.ingestion.readers.arrow_file import open_arrow
from include.ingestion.readers.orc_file import open_orc
from include.ingestion.readers.parquet_file import bounded_batches, open_parquet
from include.ingestion.records import FileFormat

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.ingestion.records import Layout
    from include.settings import IngestSettings


class ColumnarFile(Protocol):
    """An open file of typed columns."""

    @property
    def schema_arrow(self) -> pa.Schema:
        """The names and types of its columns."""

    def batches(self, most_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """All rows in batches that fit into memory: of so many rows and, as far as can be known before, bytes."""


@contextmanager
def open_columnar(path: Path, layout: Layout, settings: IngestSettings) -> Iterator[ColumnarFile]:
    """Open a file of typed columns, and close it at the end. Its batches are read inside the block.

    Raises:
        FileRefusedError: it is cut off, damaged, or expands over the limit.
    """
    match layout.format:
        case FileFormat.ORC:
            with open_orc(path, settings) as orc:
                yield orc
        case FileFormat.ARROW:
            with open_arrow(path, settings) as arrow:
                yield arrow
        case _:
            with open_parquet(path) as parquet:
                yield _Parquet(parquet, path, settings)


class _Parquet:
    def __init__(self, file: pq.ParquetFile, path: Path, settings: IngestSettings) -> None:
        self._file, self._path, self._settings = file, path, settings

    @property
    def schema_arrow(self) -> pa.Schema:
        return self._file.schema_arrow

    def batches(self, most_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
        return bounded_batches(self._file, self._path, most_rows, most_bytes, self._settings)
