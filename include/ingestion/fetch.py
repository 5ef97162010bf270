"""Downloads a file to the worker's disk once and hashes it while it is written; converts any text to plain UTF-8.

One streaming GET is the fastest method on every S3-compatible store, and a file on disk can be read twice: by the fast
path, and by the slow path where the fast one finds a fault.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import os
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from include.contracts.text_encodings import has_own_letters
from include.errors import Code, PermanentError, RetryableError
from include.errors.registry import message
from include.ingestion.compression import CHUNK_BYTES, DAMAGES, damaged, expanded
from include.ingestion.expansion import allowed_bytes, bounded
from include.ingestion.readers.encoding import other_than_utf_8
from include.ingestion.readers.plain_lines import end_of_records, recoded, unmarked, with_empty_lines
from include.ingestion.records import FileEntry, FileFormat, FileRefusedError, Layout, SpooledFile
from include.stores.object_store import ObjectMissingError, ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from include.contracts.dialect import Dialect
    from include.settings import IngestSettings


class ObjectChangedError(RetryableError):
    """The object is not the version that was claimed. The next claim enters the version that it finds then."""

    @classmethod
    def of(cls, entry: FileEntry) -> ObjectChangedError:
        """The error for a file."""
        return cls(
            Code.OBJECT_REPLACED,
            message(Code.OBJECT_REPLACED),
            key=entry.object_key,
        )


def fetch(entry: FileEntry, store: ObjectStore, folder: Path, settings: IngestSettings) -> SpooledFile:
    """Download the object that the ledger entry names into `folder`.

    Raises:
        FileRefusedError: it is gone, not readable, or over the size limit.
        ObjectChangedError: it is not the version that was claimed; perhaps it is still being written.
        RetryableError: the store or the worker's disk fails.
    """
    if entry.size_bytes > settings.max_file_bytes:
        raise FileRefusedError.for_code(Code.TOO_LARGE, "stored", size=entry.size_bytes, limit=settings.max_file_bytes)
    try:
        info, chunks = store.read(entry.bucket, entry.object_key, CHUNK_BYTES)
    except ObjectMissingError as error:
        raise FileRefusedError.for_code(Code.OBJECT_VANISHED) from error
    except PermanentError as error:
        answer = store.unreadable(error, entry.bucket, entry.object_key)
        if not answer:
            raise
        raise FileRefusedError.for_code(Code.OBJECT_UNREADABLE, "claimed", answer=answer) from error
    if info.etag != entry.etag:
        raise ObjectChangedError.of(entry)
    spooled = spool(chunks, folder / "raw")
    # Some stores list an object before it is complete: it must be the same after reading as before.
    after = store.head(entry.bucket, entry.object_key)
    if spooled.size_bytes != info.size or after is None or after.etag != info.etag:
        raise ObjectChangedError.of(entry)
    return spooled


def copy_local(path: Path, folder: Path, settings: IngestSettings) -> SpooledFile:
    """Copy a file of this machine into `folder`, as `fetch` does with an object.

    Raises:
        FileRefusedError: it is over the size limit.
        RetryableError: the disk is full.
        OSError: it cannot be read.
    """
    if (size := path.stat().st_size) > settings.max_file_bytes:
        raise FileRefusedError.for_code(Code.TOO_LARGE, "stored", size=size, limit=settings.max_file_bytes)
    return spool(expanded(path, "none"), folder / "raw")


def plain_text(
    raw: SpooledFile, layout: Layout, settings: IngestSettings, dialect: Dialect | None = None
) -> SpooledFile:
    """The text of a CSV or JSON file as plain UTF-8: expanded and re-encoded where it is not that already.

    The lines before and after the records of a CSV file are left out, as the contract's dialect says.

    Raises:
        FileRefusedError: it expands over the limit, the compressed data is damaged, the text is not in its encoding,
            or it is UTF-8 and the contract declares another one.
    """
    with raw.path.open("rb") as stream:
        marked = stream.read(3) == codecs.BOM_UTF8
    is_table = dialect is not None and layout.format is FileFormat.CSV
    skipped, footer = (dialect.skip_lines, dialect.footer_lines) if dialect and is_table else (0, 0)
    if layout.compression == "none" and layout.encoding == "utf-8" and not (marked or skipped or footer):
        return raw
    most = allowed_bytes(raw.size_bytes, settings)

    def as_stored() -> Iterator[bytes]:
        return bounded(expanded(raw.path, layout.compression), most)

    chunks = other_than_utf_8(as_stored, layout.encoding) if has_own_letters(layout.encoding) else as_stored()
    chunks = unmarked(recoded(chunks, layout.encoding) if layout.encoding != "utf-8" else chunks)
    if skipped:
        chunks = with_empty_lines(chunks, skipped)
    try:
        plain = spool(chunks, raw.path.with_name("plain"))
        return _without_footer(plain, footer, skipped) if footer else plain
    except DAMAGES as error:
        raise damaged(layout.compression, error) from error
    except UnicodeDecodeError as error:
        raise FileRefusedError.for_code(
            Code.BAD_ENCODING, "file", encoding=layout.encoding, reason=error.reason
        ) from error


def _without_footer(plain: SpooledFile, lines: int, skipped: int) -> SpooledFile:
    """The text without its last lines, which are none of the first `skipped` ones."""
    size = end_of_records(plain.path, lines, skipped)
    os.truncate(plain.path, size)
    return replace(plain, size_bytes=size)


def spool(chunks: Iterable[bytes], path: Path) -> SpooledFile:
    """Write chunks to a file, and hash them.

    Raises:
        RetryableError: the worker's disk is full.
    """
    digest, size = hashlib.sha256(), 0
    found = {b"\0": False, b'"': False, b"0x": False, b"0X": False}
    tail = b""
    with disk_errors(path.parent), path.open("wb") as target:
        for chunk in chunks:
            digest.update(chunk)
            size += len(chunk)
            target.write(chunk)
            for needle, seen in found.items():
                found[needle] = seen or needle in chunk or (len(needle) > 1 and needle in tail + chunk[:1])
            tail = (tail + chunk)[-1:]
    return SpooledFile(
        path=path,
        sha256=digest.hexdigest(),
        size_bytes=size,
        has_nul=found[b"\0"],
        has_quote=found[b'"'],
        has_hex=found[b"0x"] or found[b"0X"],
    )


@contextmanager
def disk_errors(folder: Path) -> Iterator[None]:
    """Translate the error of a full disk under the spool folder into a retryable one."""
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise RetryableError(Code.DISK_FULL, message(Code.DISK_FULL, "spool"), folder=str(folder)) from error
