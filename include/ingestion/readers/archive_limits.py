"""Limits on what the lists of members in ZIP and TAR archives take of the memory.

What belongs here: the number of entries and the bytes of their headers. What does not: how far members may expand
(`expansion`), and what the lists mean (`archive`).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from include.errors import Code
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    import tarfile
    from collections.abc import Iterator
    from pathlib import Path

MOST_ENTRIES = 10_000
# Of one read: the directory of a ZIP comes in one piece, as large as the file says.
_MOST_READ = 16 * 1024**2
# Of the headers of one entry of a TAR, and of all: extended headers are as large, and as many, as the file says.
_MOST_HEADER_BYTES = 256 * 1024
_MOST_HEADER_READS = 100
_MOST_HEADERS_BYTES = 32 * 1024**2
_MOST_GLOBAL_NAMES = 1_000
_MOST_SPARSE_PARTS = 100_000


class BoundedReads(io.FileIO):
    """A file that refuses to read too much at once."""

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `io.FileIO`.

        Raises:
            FileRefusedError: it is too much.
        """
        wanted = size if size is not None and size >= 0 else self._left()
        if wanted > _MOST_READ:
            raise _too_many_entries()
        return super().read(wanted) or b""

    def _left(self) -> int:
        at = self.tell()
        end = self.seek(0, io.SEEK_END)
        self.seek(at)
        return end - at


class HeaderReads(BoundedReads):
    """A TAR of which the headers are read: of those of one entry, and of all, a bounded number of bytes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._is_listed = False
        self._all_bytes = self._bytes = self._reads = 0

    def read(self, size: int | None = -1, /) -> bytes:
        """Read as `BoundedReads`, within the limits on headers as long as these are read."""
        if not self._is_listed:
            wanted = size if size is not None and size >= 0 else self._left()
            self._reads += 1
            self._bytes += wanted
            self._all_bytes += wanted
            if (
                self._bytes > _MOST_HEADER_BYTES
                or self._reads > _MOST_HEADER_READS
                or self._all_bytes > _MOST_HEADERS_BYTES
            ):
                raise _too_large_headers()
        return super().read(size)

    def entries(self, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
        """The entries of the archive, which was opened from this file. Nothing but what their reading needs is kept.

        Raises:
            FileRefusedError: there are too many, or their headers are too large.
            tarfile.TarError: a header is damaged.
        """
        number = sparse_parts = 0
        while (entry := archive.next()) is not None:
            number += 1
            check_entries(number)
            sparse_parts += len(entry.sparse or ())
            if sparse_parts > _MOST_SPARSE_PARTS or len(archive.pax_headers or ()) > _MOST_GLOBAL_NAMES:
                raise _too_large_headers()
            vars(archive)["members"].clear()
            entry.pax_headers = {}
            self._bytes = self._reads = 0
            yield entry
        self._is_listed = True


def check_entries(number: int) -> None:
    """Check that an archive with so many entries is read.

    Raises:
        FileRefusedError: there are too many.
    """
    if number > MOST_ENTRIES:
        raise _too_many_entries()


def _too_many_entries() -> FileRefusedError:
    """The error for an archive with too many entries, or a ZIP with too large a directory."""
    return FileRefusedError.for_code(Code.ARCHIVE_BOMB, "members", limit=MOST_ENTRIES, most=_MOST_READ)


def _too_large_headers() -> FileRefusedError:
    """The error for a TAR whose entries have too large headers."""
    return FileRefusedError.for_code(
        Code.ARCHIVE_BOMB, "headers", limit=_MOST_HEADER_BYTES, blocks=_MOST_HEADER_READS, most=_MOST_HEADERS_BYTES
    )
