"""The members of an archive on this machine, one after the other, as files that can be tried or drafted.

What belongs here: copying members to a temporary file. What does not: what an archive holds (`readers.archive`).
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from include.errors import Code
from include.ingestion.members import spool_member
from include.ingestion.readers.archive import Archive, Member, archive_format, open_archive
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from include.settings import IngestSettings


@dataclass(frozen=True)
class Unpacked:
    """An open archive of this machine, `path`. Its members are read into `folder`, one at a time."""

    path: Path
    archive: Archive
    folder: Path

    def file(self, member: Member) -> Path:
        """The member's content, until that of the next one is read.

        Raises:
            FileRefusedError: the member is refused, as a load would refuse it.
            RetryableError: the disk is full.
        """
        return spool_member(self.archive, member.number, self.folder / "member").path

    def known_as(self, member: Member) -> Path:
        """The path that decides about columns: the archive's folders, and those of the member."""
        return self.path.parent / PurePosixPath(member.path.lstrip("/"))


@contextmanager
def unpacked(path: Path, pattern: str | None, settings: IngestSettings) -> Iterator[Unpacked | None]:
    """Open a file as an archive; None if it is none.

    Raises:
        FileRefusedError: it is too large, damaged, cut off, a decompression bomb, or has no member to read.
        RetryableError: the disk is full.
        OSError: the file cannot be read.
    """
    kind = archive_format(path)
    if kind is None:
        yield None
        return
    size, limit = path.stat().st_size, settings.max_file_bytes
    if size > limit:
        raise FileRefusedError.for_code(Code.TOO_LARGE, "stored", size=size, limit=limit)
    with TemporaryDirectory(prefix="filegate-try-") as name:
        folder = Path(name)
        link = folder / "archive"  # a compressed TAR is expanded to a file beside it
        link.symlink_to(path.absolute())
        with open_archive(link, kind, pattern, settings) as archive:
            yield Unpacked(path, archive, folder)
