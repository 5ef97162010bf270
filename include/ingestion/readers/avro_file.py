"""Reads Avro container files: their blocks, bounded and verified, as one line of JSON per record.

What belongs here: the container (Avro specification, "Object Container Files"). What does not: a single record
(`avro_records`), which messages have, too.

A record that cannot be converted is refused alone, if its end is known; its line is `null`.
"""

from __future__ import annotations

import bz2
import lzma
import os
import zlib
from dataclasses import dataclass, field
from io import BufferedReader, BytesIO
from typing import IO, TYPE_CHECKING

import cramjam
from backports import zstd

from include.errors import Code
from include.errors.registry import message
from include.ingestion.expansion import allowed_bytes, too_large
from include.ingestion.readers.avro_records import RecordError, RecordReader, SchemaRefusedError
from include.ingestion.records import FileRefusedError, Undecoded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from include.settings import IngestSettings

MAGIC = b"Obj\x01"
_MARKER_BYTES = 16
_MOST_HEADER_BYTES = 16 * 1024**2
# A block is in memory, stored and expanded; writers make blocks of 16 kB to some megabytes.
_MOST_BLOCK_BYTES = 256 * 1024**2
_XZ_MEMORY = 128 * 1024**2
_CHECKSUM_BYTES = 4
_LONGEST_NUMBER = 10  # bytes of a 64-bit number


@dataclass
class AvroLines:
    """The lines of a file; `undecoded` is filled while they are read."""

    lines: Iterator[bytes]
    undecoded: dict[int, Undecoded] = field(default_factory=dict)


class _DamagedError(Exception):
    """What is wrong with the container."""


def avro_lines(path: Path, settings: IngestSettings) -> AvroLines:
    """The records of a file, one line each.

    Raises, while the lines are read:
        FileRefusedError: the file is cut off or damaged, expands over the limit, or has a schema that is not read.
    """
    found = AvroLines(iter(()))
    found.lines = _lines(path, settings, found.undecoded)
    return found


def writer_schema(path: Path) -> str:
    """The schema of a file's records, as JSON.

    Raises:
        FileRefusedError: the header of the file is cut off or damaged.
    """
    try:
        with path.open("rb") as stream:
            return _Header.read(stream).schema
    except EOFError as error:
        raise FileRefusedError.for_code(Code.TRUNCATED_FILE, "columnar", format="Avro") from error
    except _DamagedError as error:
        raise _refused(error) from error


def _lines(path: Path, settings: IngestSettings, undecoded: dict[int, Undecoded]) -> Iterator[bytes]:
    at = _Position()
    try:
        with path.open("rb") as stream:
            yield from _records(stream, at, allowed_bytes(path.stat().st_size, settings), undecoded)
    except EOFError as error:
        raise FileRefusedError.for_code(Code.TRUNCATED_FILE, "columnar", format="Avro") from error
    except RecordError as error:
        raise _refused(f"record {at.record:,}: {error}") from error
    except (SchemaRefusedError, _DamagedError) as error:
        raise _refused(error) from error
    except (zlib.error, lzma.LZMAError, zstd.ZstdError, cramjam.DecompressionError, OSError, ValueError) as error:
        raise _refused(f"the block behind record {at.record:,} is damaged: {error}") from error


@dataclass
class _Position:
    """The number of the record that is being read, or was read last."""

    record: int = 0


def _records(stream: BufferedReader, at: _Position, limit: int, undecoded: dict[int, Undecoded]) -> Iterator[bytes]:
    header = _Header.read(stream)
    reader = RecordReader(header.schema)
    expand = _CODECS.get(header.codec)
    if expand is None:
        raise _DamagedError(f"its codec '{header.codec[:40]}' is not read here")
    expanded = 0
    for count, data in _blocks(stream, header.marker):
        block = expand(data, min(limit - expanded, _MOST_BLOCK_BYTES))
        expanded += len(block)
        if count * reader.smallest > len(block) or (count and not reader.smallest):
            raise _DamagedError(f"a block of {len(block):,} bytes cannot hold {count:,} records")
        records = BytesIO(block)
        for _ in range(count):
            at.record += 1
            line, reason = reader.next_line(records)
            if reason:
                undecoded[at.record] = Undecoded(Code.BAD_AVRO, message(Code.BAD_AVRO, "record", reason=reason))
            yield line + b"\n"
        if records.tell() != len(block):
            raise _DamagedError(f"bytes are left over in the block that ends with record {at.record:,}")


def _refused(reason: object) -> FileRefusedError:
    return FileRefusedError.for_code(Code.UNREADABLE_FILE, "avro", reason=str(reason).rstrip("."))


@dataclass(frozen=True)
class _Header:
    schema: str
    codec: str
    marker: bytes

    @classmethod
    def read(cls, stream: IO[bytes]) -> _Header:
        """Read the file's header.

        Raises:
            EOFError: it is cut off.
            _DamagedError: it is no header, or has no schema.
        """
        _exactly(stream, len(MAGIC))
        values: dict[str, bytes] = {}
        while count := _number(stream):
            if count < 0:  # then the size of these entries follows
                _number(stream)
            for _ in range(abs(count)):
                key = _bytes(stream)
                values[key.decode("utf-8", "replace")] = _bytes(stream)
                if stream.tell() > _MOST_HEADER_BYTES:
                    raise _DamagedError("its header is too long")
        if "avro.schema" not in values:
            raise _DamagedError("its header has no schema")
        schema, codec = values["avro.schema"], values.get("avro.codec", b"null")
        return cls(schema.decode("utf-8", "replace"), codec.decode("utf-8", "replace"), _exactly(stream, _MARKER_BYTES))


def _blocks(stream: BufferedReader, marker: bytes) -> Iterator[tuple[int, bytes]]:
    """The blocks: the number of records of each, and its bytes as they are stored."""
    file_bytes = os.fstat(stream.fileno()).st_size
    while stream.peek(1):
        count, size = _number(stream), _number(stream)
        if count < 0 or size < 0:
            raise _DamagedError("a block has a negative size")
        if size > file_bytes - stream.tell():
            raise EOFError
        if size > _MOST_BLOCK_BYTES:
            raise FileRefusedError.for_code(
                Code.TOO_LARGE, "batch", part="block", format="Avro", size=size, limit=_MOST_BLOCK_BYTES
            )
        data = _exactly(stream, size)
        if _exactly(stream, _MARKER_BYTES) != marker:
            raise _DamagedError("the marker behind a block is not that of the header")
        yield count, data


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _bytes(stream: IO[bytes]) -> bytes:
    size = _number(stream)
    if not 0 <= size <= _MOST_HEADER_BYTES:
        raise _DamagedError("its header is broken")
    return _exactly(stream, size)


def _number(stream: IO[bytes]) -> int:
    """A number as Avro stores it: seven bits per byte, the sign in the lowest bit."""
    value = 0
    for at in range(_LONGEST_NUMBER):
        byte = _exactly(stream, 1)[0]
        value |= (byte & 0x7F) << (7 * at)
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1)
    raise _DamagedError("a number is too long")


# Codecs: each expands a block to at most `most` bytes.


def _plain(data: bytes, most: int) -> bytes:
    return _checked(data, most, is_whole=True)


def _deflate(data: bytes, most: int) -> bytes:
    """Some writers, fastavro among them, leave bytes of the checksum behind the data that zlib adds."""
    expander = zlib.decompressobj(-zlib.MAX_WBITS)
    block = expander.decompress(data, most + 1)
    return _checked(block, most, is_whole=expander.eof and len(expander.unused_data) <= _CHECKSUM_BYTES)


def _bzip2(data: bytes, most: int) -> bytes:
    expander = bz2.BZ2Decompressor()
    return _checked(expander.decompress(data, most + 1), most, is_whole=expander.eof and not expander.unused_data)


def _xz(data: bytes, most: int) -> bytes:
    expander = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)
    return _checked(expander.decompress(data, most + 1), most, is_whole=expander.eof and not expander.unused_data)


def _zstandard(data: bytes, most: int) -> bytes:
    expander = zstd.ZstdDecompressor()
    return _checked(expander.decompress(data, most + 1), most, is_whole=expander.eof and not expander.unused_data)


def _snappy(data: bytes, most: int) -> bytes:
    """Snappy's block is followed by the checksum of the expanded bytes."""
    body, checksum = data[:-_CHECKSUM_BYTES], data[-_CHECKSUM_BYTES:]
    if cramjam.snappy.decompress_raw_len(body) > most:
        raise too_large(most)
    block = bytes(cramjam.snappy.decompress_raw(body))
    return _checked(block, most, is_whole=zlib.crc32(block).to_bytes(_CHECKSUM_BYTES, "big") == checksum)


def _checked(block: bytes, most: int, *, is_whole: bool) -> bytes:
    if len(block) > most:
        raise too_large(most)
    if not is_whole:
        raise ValueError("its compressed data does not end where the block does, or its checksum differs")
    return block


_CODECS: dict[str, Callable[[bytes, int], bytes]] = {
    "null": _plain,
    "deflate": _deflate,
    "bzip2": _bzip2,
    "xz": _xz,
    "snappy": _snappy,
    "zstandard": _zstandard,
}
