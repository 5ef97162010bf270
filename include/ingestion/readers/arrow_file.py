"""Opens files and streams of Arrow's IPC format, as Feather 2 is, and reads their rows in batches that fit into memory.

What belongs here: the messages of the format, and how much memory each needs. What does not: what values mean.

The sizes of all messages are added up before any is read: a compressed buffer says how large it becomes. The file is
mapped into memory, so a batch that is not compressed takes none until its rows are used.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from include.errors import Code, reason_of
from include.ingestion.expansion import allowed_bytes, too_large
from include.ingestion.readers.parquet_file import MOST_CELLS
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from include.settings import IngestSettings

MAGIC = b"ARROW1"
CONTINUATION = b"\xff\xff\xff\xff"
_FILE_START = 8  # the magic, padded
_MOST_MESSAGE_BYTES = 512 * 1024**2
_DICTIONARY, _BATCH = 2, 3  # types of messages with a body
_NOT_COMPRESSED = -1
_BYTES_PER_ROW = 8


@contextmanager
def open_arrow(path: Path, settings: IngestSettings) -> Iterator[ArrowRows]:
    """Open a file or stream of Arrow's IPC format.

    Raises:
        FileRefusedError: it is cut off, damaged, expands over the limit, or has columns of a kind that is not read.
    """
    try:
        with pa.memory_map(str(path)) as source:
            yield ArrowRows(source, allowed_bytes(path.stat().st_size, settings))
    except (pa.ArrowException, OSError, ValueError, struct.error, IndexError) as error:
        raise FileRefusedError.for_code(
            Code.UNREADABLE_FILE, "columnar", format="Arrow", reason=reason_of(error)
        ) from error


class ArrowRows:
    """The rows of a file or stream."""

    def __init__(self, source: pa.MemoryMappedFile, limit: int) -> None:
        self._source, self._limit = source, limit
        size = source.size()
        content = memoryview(source.read_buffer(size))
        is_file = bytes(content[: len(MAGIC)]) == MAGIC
        if is_file and bytes(content[-len(MAGIC) :]) != MAGIC:
            raise _cut_off()
        self._start = _FILE_START if is_file else 0
        survey = _survey(content, self._start, limit)
        if is_file:
            source.seek(0)
            expected = pa.ipc.open_file(source).num_record_batches
            if expected != survey.batches:
                raise pa.ArrowInvalid(f"its footer names {expected:,} batches, and {survey.batches:,} are there")
        elif survey.end != size:
            raise pa.ArrowInvalid(f"{size - survey.end:,} bytes follow the end of the stream")
        self.schema_arrow = self._stream().schema
        for entry in self.schema_arrow:
            _refuse_kind(entry.name, entry.type, is_inside=False)
        self.schema_arrow = pa.schema([pa.field(entry.name, _plain(entry.type)) for entry in self.schema_arrow])

    def _stream(self) -> pa.RecordBatchStreamReader:
        self._source.seek(self._start)
        return pa.ipc.open_stream(self._source)

    def batches(self, most_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
        """The rows in batches.

        Raises:
            FileRefusedError: they expand over the limit.
        """
        rows_at_once = max(1, min(most_rows, MOST_CELLS // max(1, len(self.schema_arrow))))
        expanded = 0
        for batch in self._stream():
            batch.validate(full=True)  # offsets beyond a buffer would read foreign memory
            start = 0
            while start < batch.num_rows:
                rows = rows_at_once
                while rows > 1 and _expanded(batch.slice(start, rows)) > most_bytes:
                    rows //= 2
                piece = batch.slice(start, rows)
                arrays = [_decoded(column) for column in piece.columns]
                piece = pa.RecordBatch.from_arrays(arrays, schema=self.schema_arrow)
                expanded += piece.nbytes + piece.num_rows
                if expanded > self._limit:
                    raise too_large(self._limit)
                yield piece
                start += rows


def _cut_off() -> FileRefusedError:
    return FileRefusedError.for_code(Code.TRUNCATED_FILE, "columnar", format="Arrow")


def _refuse_kind(name: str, kind: pa.DataType, *, is_inside: bool) -> None:
    t = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    is_view = t.is_string_view(kind) or t.is_binary_view(kind)
    foreign = t.is_run_end_encoded(kind) or t.is_union(kind) or t.is_list_view(kind) or t.is_large_list_view(kind)
    if foreign or (is_inside and (is_view or t.is_dictionary(kind))):
        raise pa.ArrowInvalid(f"the column {name} has the type {kind}, which is not read here")
    if t.is_dictionary(kind):
        _refuse_kind(name, kind.value_type, is_inside=True)
    elif t.is_nested(kind):
        for at in range(kind.num_fields):
            _refuse_kind(name, kind.field(at).type, is_inside=True)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The type of a column once dictionaries and views are resolved."""
    t = pa.types
    if t.is_dictionary(kind):
        return kind.value_type
    if t.is_string_view(kind):
        return pa.string()
    return pa.binary() if t.is_binary_view(kind) else kind


def _decoded(column: pa.Array) -> pa.Array:
    if pa.types.is_dictionary(column.type):
        return column.dictionary_decode()
    kind = _plain(column.type)
    return column if kind == column.type else column.cast(kind)


def _expanded(piece: pa.RecordBatch) -> int:
    """The bytes of a batch once dictionaries and views are resolved: at most."""
    return sum(map(_column_bytes, piece.columns))


def _column_bytes(column: pa.Array) -> int:
    t, kind = pa.types, column.type
    if t.is_dictionary(kind):
        texts = column.dictionary
        is_text = t.is_string(texts.type) or t.is_large_string(texts.type)
        is_text = is_text or t.is_binary(texts.type) or t.is_large_binary(texts.type)
        longest = (pc.max(pc.binary_length(texts)).as_py() or 0) if is_text else texts.nbytes // max(1, len(texts))
        return int(len(column) * (longest + _BYTES_PER_ROW))
    if t.is_string_view(kind) or t.is_binary_view(kind):
        # A view has 16 bytes; the first four are the length of its text.
        views = np.frombuffer(column.buffers()[1], np.int32)[4 * column.offset : 4 * (column.offset + len(column)) : 4]
        return int(views.clip(0).sum(dtype=np.int64))
    return int(column.nbytes)


@dataclass
class _Survey:
    """What the messages of a stream say: how many batches there are, and where the stream ends."""

    batches: int = 0
    end: int = 0


def _survey(content: memoryview, start: int, limit: int) -> _Survey:
    """Read the head of every message.

    Raises:
        FileRefusedError: the end of the stream is missing, or it expands over a limit.
        struct.error, IndexError, ValueError: a message is broken.
    """
    survey, at, expanded = _Survey(), start, 0
    while True:
        at += len(CONTINUATION) if bytes(content[at : at + 4]) == CONTINUATION else 0  # older files have none
        if at + 4 > len(content):
            raise _cut_off()
        size = _int("<i", content, at)
        at += 4
        if size == 0:
            survey.end = at
            return survey
        if size < 0 or at + size > len(content):
            raise _cut_off()
        message = _Message.of(content[at : at + size])
        at += size
        if message.body_length < 0 or at + message.body_length > len(content):
            raise _cut_off()
        needed = message.expanded(content[at : at + message.body_length])
        if needed > _MOST_MESSAGE_BYTES:
            raise FileRefusedError.for_code(
                Code.TOO_LARGE, "batch", part="batch", format="Arrow", size=needed, limit=_MOST_MESSAGE_BYTES
            )
        expanded += needed
        if expanded > limit:
            raise too_large(limit)
        survey.batches += message.kind == _BATCH
        at += message.body_length


@dataclass(frozen=True)
class _Message:
    """The head of a message: a flatbuffer, see format/Message.fbs of Apache Arrow."""

    head: memoryview
    kind: int
    header: int
    body_length: int

    @classmethod
    def of(cls, head: memoryview) -> _Message:
        root = _int("<I", head, 0)
        kind, header, length = (_field(head, root, slot) for slot in (1, 2, 3))
        return cls(
            head,
            head[kind] if kind else 0,
            header + _int("<I", head, header) if header else 0,
            _int("<q", head, length) if length else 0,
        )

    def expanded(self, body: memoryview) -> int:
        """The bytes that its buffers take in memory, and at least eight for each row."""
        table = self.header
        if self.kind == _DICTIONARY:
            data = _field(self.head, table, 1)
            table = data + _int("<I", self.head, data)
        elif self.kind != _BATCH:
            return 0
        rows, buffers, compression = (_field(self.head, table, slot) for slot in (0, 2, 3))
        needed = _BYTES_PER_ROW * max(0, _int("<q", self.head, rows)) if rows else 0
        if not buffers:
            return needed
        vector = buffers + _int("<I", self.head, buffers)
        count = _int("<I", self.head, vector)
        if count * 16 > len(self.head):
            raise ValueError("a message has more buffers than bytes")
        for at in range(vector + 4, vector + 4 + 16 * count, 16):
            start, length = _int("<q", self.head, at), _int("<q", self.head, at + 8)
            if start < 0 or length < 0 or start + length > len(body):
                raise ValueError("a buffer ends behind its message")
            size = _int("<q", body, start) if compression and length >= 8 else _NOT_COMPRESSED
            needed += length if size == _NOT_COMPRESSED else max(0, size)
        return needed


def _field(buffer: memoryview, table: int, slot: int) -> int:
    """The position of a table's field; 0 if it has none."""
    vtable = table - _int("<i", buffer, table)
    if vtable < 0:
        raise ValueError("a message is broken")
    entry = 4 + 2 * slot
    if entry + 2 > _int("<H", buffer, vtable):
        return 0
    offset = _int("<H", buffer, vtable + entry)
    return table + offset if offset else 0


def _int(form: str, buffer: Any, at: int) -> int:
    if at < 0:
        raise ValueError("a message is broken")
    value: int = struct.unpack_from(form, buffer, at)[0]
    return value
