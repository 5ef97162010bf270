"""Writes the bytes of a sample: encoded, compressed, into a file that appears when it is complete.

What belongs here: encodings, compression, the file. What does not: the content.
"""

from __future__ import annotations

import gzip
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Protocol

import zstandard

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class ByteSink(Protocol):
    """An object that bytes can be written to."""

    def write(self, data: bytes, /) -> object:
        """Write some bytes."""


class _Encoder:
    """Converts UTF-8 to another encoding. Pieces must end between characters, as records do."""

    def __init__(self, sink: ByteSink, encoding: str) -> None:
        self._sink, self._encoding = sink, encoding

    def write(self, data: bytes, /) -> object:
        return self._sink.write(data.decode("utf-8", "replace").encode(self._encoding, "replace"))


MARKS = {"utf-8": b"", "utf-8-sig": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "latin-1": b""}


@contextmanager
def opened(path: Path, encoding: str = "utf-8") -> Iterator[ByteSink]:
    """Open a sink for UTF-8 bytes that writes `path`, compressed according to its ending.

    The file is written under a temporary name and renamed at the end: an interrupted run leaves no incomplete sample.
    """
    part = path.with_name(path.name + ".part")
    try:
        with ExitStack() as stack:
            raw = stack.enter_context(part.open("wb"))
            sink: ByteSink = raw
            if path.suffix == ".gz":
                sink = stack.enter_context(gzip.GzipFile("", "wb", compresslevel=1, fileobj=raw, mtime=0))
            elif path.suffix == ".zst":
                writer = zstandard.ZstdCompressor(level=1).stream_writer(raw, closefd=False)
                sink = stack.enter_context(writer)
            if MARKS[encoding]:
                sink.write(MARKS[encoding])
            yield sink if encoding.startswith("utf-8") else _Encoder(sink, encoding)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
