"""Expands gzip, Zstandard, bzip2 and xz, and distinguishes data that is cut off from data that is damaged.

What belongs here: one stream of compressed bytes. What does not: how much it may expand to (`expansion`), archives.

The standard library's readers of bzip2 and xz end silently where a further stream is damaged, and where xz has padding
between two streams: the rows behind it would be missing. So `_StreamReader` reads every stream to the end of the file.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zlib
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Protocol, cast

import pyarrow as pa

from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CHUNK_BYTES = 4 * 1024**2
# The errors of compressed data that is cut off (the first) or damaged.
DAMAGES = (EOFError, zlib.error, gzip.BadGzipFile)
_READ_BYTES = 256 * 1024
# A header of xz may ask for a dictionary of 4 GB. The strongest preset, -9, needs 65 MB.
_XZ_MEMORY = 128 * 1024**2
_MAGICS = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ\0": "xz"}
# A frame that is skipped, as pzstd writes before each frame (RFC 8878, section 3.1.2).
_MAGICS |= {bytes([first]) + b"\x2a\x4d\x18": "zstd" for first in range(0x50, 0x60)}
# The first block of bzip2, or the end of one without blocks: a header of CSV may begin with the letters "BZh".
_MAGICS |= {
    b"BZh%d" % level + block: "bzip2" for level in range(1, 10) for block in (b"1AY&SY", b"\x17\x72\x45\x38\x50\x90")
}
_SHORTEST_MAGIC = 4


def compression_of(start: bytes) -> str:
    """The compression of a file, by its first 16 bytes or the whole of it; `none` if it has none that is read here."""
    for magic, name in _MAGICS.items():
        if start.startswith(magic) or (len(start) >= _SHORTEST_MAGIC and magic.startswith(start)):
            return name
    return "none"


def damaged(compression: str, error: Exception) -> FileRefusedError:
    """The error for compressed data that cannot be expanded: cut off, or damaged."""
    if isinstance(error, EOFError):
        return FileRefusedError.for_code(Code.TRUNCATED_FILE, "compression", compression=compression)
    return FileRefusedError.for_code(Code.UNREADABLE_FILE, "compression", compression=compression, reason=error)


def open_expanded(path: Path, compression: str) -> IO[bytes]:
    """Open the file for reading its expanded bytes."""
    match compression:
        case "gzip":
            return cast("IO[bytes]", gzip.open(path, "rb"))
        case "zstd":
            return io.BufferedReader(_ZstdReader(path), CHUNK_BYTES)
        case "bzip2":
            return io.BufferedReader(_StreamReader(path.open("rb"), bz2.BZ2Decompressor), CHUNK_BYTES)
        case "xz":
            return io.BufferedReader(_StreamReader(path.open("rb"), _xz_decompressor), CHUNK_BYTES)
        case _:
            return path.open("rb")


@dataclass(frozen=True)
class Expected:
    """What an archive says of a member's content: its bytes, and their CRC-32."""

    size: int
    checksum: int


def open_bzip2(source: IO[bytes], expected: Expected) -> IO[bytes]:
    """Open a stream of bzip2 for reading its expanded bytes, of which a bounded number is in memory.

    Reading it raises `zlib.error` or `EOFError` where it is damaged, or its content is not the expected one.
    """
    return io.BufferedReader(_StreamReader(source, bz2.BZ2Decompressor, expected), CHUNK_BYTES)


def expanded(path: Path, compression: str) -> Iterator[bytes]:
    """The file's expanded bytes, in chunks."""
    with open_expanded(path, compression) as stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


class _ZstdReader(io.RawIOBase):
    """Reads Zstandard with Arrow, which raises for a cut-off file; the zstandard package's reader does not."""

    def __init__(self, path: Path) -> None:
        self._source = pa.OSFile(str(path), "rb")
        self._stream = pa.CompressedInputStream(self._source, "zstd")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            chunk = self._stream.read(len(buffer))
        except OSError as error:
            raise (EOFError if "Truncated" in str(error) else zlib.error)(str(error)) from error
        buffer[: len(chunk)] = chunk
        return len(chunk)

    def close(self) -> None:
        self._stream.close()
        self._source.close()
        super().close()


class _Decompressor(Protocol):
    @property
    def eof(self) -> bool:
        """Whether the stream has ended."""

    @property
    def needs_input(self) -> bool:
        """Whether it has no more output without further data."""

    @property
    def unused_data(self) -> bytes:
        """What follows the end of the stream."""

    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes:
        """The next bytes, at most `max_length`."""


def _xz_decompressor() -> _Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _StreamReader(io.RawIOBase):
    """Reads streams of bzip2 or xz, one after the other, with zero bytes between them, to the end of the file."""

    def __init__(
        self, source: IO[bytes], decompressor: Callable[[], _Decompressor], expected: Expected | None = None
    ) -> None:
        self._source = source
        self._new_decompressor = decompressor
        self._decompressor = decompressor()
        self._expected = expected
        self._size = self._checksum = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while True:
            data = b""
            if self._decompressor.eof:
                data = self._next_stream()
                if not data:
                    self._check(is_whole=True)
                    return 0
                self._decompressor = self._new_decompressor()
            elif self._decompressor.needs_input and not (data := self._source.read(_READ_BYTES)):
                raise EOFError("the end of the stream is missing")
            try:
                chunk = self._decompressor.decompress(data, len(buffer))
            except (OSError, ValueError, lzma.LZMAError) as error:
                raise zlib.error(str(error)) from error
            if chunk:
                if self._expected:
                    self._size += len(chunk)
                    self._checksum = zlib.crc32(chunk, self._checksum)
                    self._check(is_whole=False)
                buffer[: len(chunk)] = chunk
                return len(chunk)

    def _check(self, *, is_whole: bool) -> None:
        """Check what was read so far, or all of it."""
        if (expected := self._expected) is None:
            return
        if self._size > expected.size or (is_whole and self._size < expected.size):
            raise zlib.error("its size is not that in the directory")
        if is_whole and self._checksum != expected.checksum:
            raise zlib.error("Bad CRC-32")

    def _next_stream(self) -> bytes:
        """The beginning of the next stream; empty at the end of the file."""
        data = self._decompressor.unused_data.lstrip(b"\0")
        while not data and (more := self._source.read(_READ_BYTES)):
            data = more.lstrip(b"\0")
        return data

    def close(self) -> None:
        self._source.close()
        super().close()
