"""The local file in which a run gathers what it reads: JSON records by line, or rows as Parquet.

What belongs here: the two forms, their size and hash, and their records as JSON for messages. What does not: object
keys and the bucket (`deliver`), and when a file is written (`run`).

The file has no name, so nothing is left of it when the process is killed. The same rows in the same order make the same
bytes: the pipeline recognises a table that has not changed by the hash of its file.
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, ClassVar, Self

from include.ingestion.fetch import disk_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import pyarrow as pa
    import pyarrow.parquet as pq

    from include.sources.deliver import RawCopies

# Rows of a row group; fewer where they are large.
_GROUP_ROWS, _GROUP_BYTES = 65_536, 32 * 1024**2
_SAMPLE_ROWS = 8_192  # by which a column gets a dictionary or none
_LINES_AT_ONCE = 2_000
_READ_BYTES = 1024**2


class Spool(ABC):
    """What a reader has read, in a local file.

    Args:
        folder: on the local disk.

    Attributes:
        records: how many were taken.
        ending: of the object's key.
        content_type: of the object.
    """

    ending: ClassVar[str]
    content_type: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.records = 0

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with disk_errors(self._folder):
            self._file: IO[bytes] = TemporaryFile(dir=self._folder)
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # on a full disk; what is still to be written is not needed any more
            self._file.close()

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """Of the complete file."""

    @property
    @abstractmethod
    def sha256(self) -> str:
        """Of the complete file, in hexadecimal digits."""

    @abstractmethod
    def file(self) -> IO[bytes]:
        """The file, complete and at its start.

        Raises:
            RetryableError: the disk is full.
        """

    @abstractmethod
    def lines(self) -> Iterator[bytes]:
        """The records as JSON objects, without line ends."""


class JsonSpool(Spool):
    """Takes JSON records, one a line; answers go to the raw copies.

    Args:
        folder: on the local disk.
        raw: where answers are kept; None: they are not.
    """

    ending, content_type = ".ndjson", "application/x-ndjson"

    def __init__(self, folder: Path, raw: RawCopies | None) -> None:
        super().__init__(folder)
        self._raw = raw
        self._digest = hashlib.sha256()
        self._size = 0

    def keep(self, answer: bytes, page: int) -> None:
        """Keep an answer as it came, if the definition says so."""
        if self._raw is not None:
            self._raw.keep(answer, page)

    def take(self, record: bytes) -> None:
        """Take a record.

        Raises:
            RetryableError: the disk is full.
        """
        line = record + b"\n"
        with disk_errors(self._folder):
            self._file.write(line)
        self._digest.update(line)
        self.records += 1
        self._size += len(line)

    @property
    def size_bytes(self) -> int:
        """Of the file."""
        return self._size

    @property
    def sha256(self) -> str:
        """Of the file."""
        return self._digest.hexdigest()

    def file(self) -> IO[bytes]:
        """The file, complete and at its start."""
        with disk_errors(self._folder):
            self._file.flush()
        self._file.seek(0)
        return self._file

    def lines(self) -> Iterator[bytes]:
        """The records, without line ends."""
        return (line[:-1] for line in self.file())


class ParquetSpool(Spool):
    """Takes rows in Arrow batches, and writes them as Parquet with zstd.

    A thread writes a row group while the next one is read. At most these two are in memory.
    """

    ending, content_type = ".parquet", "application/vnd.apache.parquet"

    _schema: pa.Schema | None = None
    _writer: pq.ParquetWriter | None = None
    _thread: ThreadPoolExecutor | None = None
    _writing: Future[None] | None = None
    _sha256 = ""

    def begin(self, schema: pa.Schema) -> None:
        """Begin the file; what was taken before is dropped."""
        self._drop_writer()  # it writes into the file when it ends
        self._file.seek(0)
        self._file.truncate()
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0
        self.records = 0
        self._sha256 = ""

    def write(self, batch: pa.RecordBatch) -> None:
        """Take a batch of rows of the schema.

        Raises:
            RetryableError: the disk is full.
        """
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self._waiting_bytes += batch.nbytes
        self.records += batch.num_rows
        if self._waiting_rows >= _GROUP_ROWS or self._waiting_bytes >= _GROUP_BYTES:
            self._write_group()

    @property
    def size_bytes(self) -> int:
        """Of the complete file."""
        return self.file().seek(0, 2)

    @property
    def sha256(self) -> str:
        """Of the complete file."""
        if not self._sha256:
            file, digest = self.file(), hashlib.sha256()
            while chunk := file.read(_READ_BYTES):
                digest.update(chunk)
            self._sha256 = digest.hexdigest()
        return self._sha256

    def file(self) -> IO[bytes]:
        """The file, complete and at its start. No batch can be taken afterwards."""
        if self._schema is not None:
            self._write_group()
            self._wait()
            with disk_errors(self._folder):
                if self._writer is not None:
                    self._writer.close()
                self._file.flush()
            self._writer = self._schema = None
        self._file.seek(0)
        return self._file

    def lines(self) -> Iterator[bytes]:
        """The rows as JSON objects: decimals, dates and times as texts, without loss."""
        import pyarrow.parquet as pq

        from include.sources.database.json_rows import json_rows

        with pq.ParquetFile(self.file()) as parquet:
            for batch in parquet.iter_batches(_LINES_AT_ONCE):
                yield from json_rows(batch)

    def __exit__(self, *error: object) -> None:
        self._drop_writer()
        super().__exit__(*error)

    def _drop_writer(self) -> None:
        """Drop what is written and what waits. The thread ends first: it must not write while the writer closes."""
        if self._thread is not None:
            self._thread.shutdown()
        self._thread = self._writing = None
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()
            self._writer = None

    def _write_group(self) -> None:
        """Let the thread write what waits, once it has written the group before."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._wait()
        table = pa.Table.from_batches(self._waiting, self._schema)
        if self._writer is None:
            options = {
                "use_dictionary": [name for name in table.schema.names if _repeats(table[name])],
                # To find the least and the largest text takes a fifth of the time of writing.
                "write_statistics": [entry.name for entry in table.schema if not pa.types.is_string(entry.type)],
            }
            with disk_errors(self._folder):
                self._writer = pq.ParquetWriter(self._file, table.schema, compression="zstd", **options)
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix="parquet")
        if table.num_rows:
            self._writing = self._thread.submit(self._writer.write_table, table, _GROUP_ROWS)
        self._waiting, self._waiting_rows, self._waiting_bytes = [], 0, 0

    def _wait(self) -> None:
        """Wait until the thread has written its group.

        Raises:
            RetryableError: the disk is full.
        """
        if self._writing is not None:
            with disk_errors(self._folder):
                self._writing.result()


def _repeats(column: pa.ChunkedArray) -> bool:
    """Whether a dictionary makes the column smaller, judged by its first rows. Without one it is written faster."""
    import pyarrow.compute as pc

    sample = column.slice(0, _SAMPLE_ROWS)
    distinct: int = pc.count_distinct(sample).as_py()
    return 2 * distinct <= len(sample)
