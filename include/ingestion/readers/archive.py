"""Lists the members of ZIP and TAR archives and reads one of them: as a stream, never to a path of its name.

What belongs here: what an archive holds, and which members are refused before they are read. What does not: loading
members (`include.ingestion.members`), and one stream of compressed bytes (`compression`).

A compressed TAR is expanded to a temporary file first, so that members are read in any order and a cut or damaged end
is found before the first member is loaded. The standard library ends a TAR in silence at a damaged header: `_check_end`
finds that.
"""

from __future__ import annotations

import stat
import tarfile
import unicodedata
import zipfile
import zlib
from contextlib import ExitStack, contextmanager
from copy import copy
from dataclasses import dataclass, replace
from functools import partial
from typing import IO, TYPE_CHECKING, cast

from include.contracts.file_patterns import pattern_regex
from include.errors import Code, reason_of, visible
from include.ingestion.compression import (
    CHUNK_BYTES,
    DAMAGES,
    Expected,
    compression_of,
    damaged,
    expanded,
    open_bzip2,
    open_expanded,
)
from include.ingestion.expansion import allowed_bytes, bounded
from include.ingestion.fetch import spool
from include.ingestion.readers.archive_limits import BoundedReads, HeaderReads, check_entries
from include.ingestion.records import FileRefusedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from include.settings import IngestSettings

    Opener = Callable[[], IO[bytes]]

MOST_NAME_BYTES = 1024
_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")
_BLOCK = 512
_IS_ENCRYPTED, _IS_ENCRYPTED_STRONGLY = 1, 64
_READ_METHODS = {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2}
_ERRORS = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError,
)  # fmt: skip
_TAR_KINDS = {
    tarfile.SYMTYPE: "a symbolic link",
    tarfile.LNKTYPE: "a hard link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a pipe",
}


@dataclass(frozen=True)
class Member:
    """A file in an archive: its place in it, counted from 1, its path with `/`, and its bytes when expanded.

    `refusal` is the reason why it is not loaded. Without `is_wanted` it is passed over.
    """

    number: int
    path: str
    size: int
    refusal: FileRefusedError | None = None
    is_wanted: bool = True

    @property
    def is_readable(self) -> bool:
        """Whether it has a content that may be read: also where its name is the reason for its refusal."""
        return self.refusal is None or self.refusal.code in {Code.UNSAFE_MEMBER_NAME, Code.DUPLICATE_MEMBER}


@dataclass(frozen=True)
class Archive:
    """An open archive. `members` has all files in it by their numbers."""

    format: str
    members: dict[int, Member]
    openers: dict[int, Opener]

    @property
    def wanted(self) -> list[Member]:
        """The members to load, in the order of their paths. The first one of a path comes first."""
        found = (member for member in self.members.values() if member.is_wanted)
        return sorted(found, key=lambda member: (member.path.encode(), member.number))

    @property
    def size(self) -> int:
        """The bytes of all members that are read."""
        return sum(member.size for member in self.members.values() if member.is_wanted and member.is_readable)

    @property
    def passed_over(self) -> int:
        """The number of members that are not loaded."""
        return sum(not member.is_wanted for member in self.members.values())

    def chunks(self, number: int) -> Iterator[bytes]:
        """The content of a member, also of one that is refused for its name.

        Raises:
            FileRefusedError: it has none that may be read, or it is damaged.
        """
        member = self.members[number]
        if member.refusal is not None and not member.is_readable:
            raise member.refusal
        try:
            with self.openers[number]() as stream:
                while chunk := stream.read(CHUNK_BYTES):
                    yield chunk
        except _ERRORS as error:
            raise FileRefusedError.for_code(Code.UNREADABLE_FILE, "member", reason=reason_of(error)) from error


def archive_format(path: Path) -> str | None:
    """`zip`, `tar`, or `tar` with its compression as in `tar; gzip`; None for any other file, and for workbooks.

    Raises:
        FileRefusedError: the directory of a ZIP file is too large to be read.
    """
    with path.open("rb") as stream:
        start = stream.read(16)
    if start.startswith(_ZIPS):
        return "zip" if _is_plain_zip(path) else None
    compression = compression_of(start)
    try:
        with open_expanded(path, compression) as stream:
            head = stream.read(_BLOCK)
    except DAMAGES:
        return None  # `detect` reports it
    if not is_tar(head):
        return None
    return "tar" if compression == "none" else f"tar; {compression}"


def is_tar(head: bytes) -> bool:
    """Whether a text or file that begins with these bytes is a TAR: its first header has the right checksum."""
    if len(head) < _BLOCK or not head.strip(b"\0"):
        return False
    try:
        tarfile.TarInfo.frombuf(head[:_BLOCK], "utf-8", "surrogateescape")
    except (tarfile.TarError, ValueError):
        return False
    return True


@contextmanager
def open_archive(path: Path, kind: str, pattern: str | None, settings: IngestSettings) -> Iterator[Archive]:
    """Open an archive and list its members.

    Args:
        path: the archive on this machine; a compressed TAR is expanded to a file beside it.
        kind: from `archive_format`.
        pattern: the option `member` of the contract's dialect.
        settings: the limits.

    Raises:
        FileRefusedError: it is damaged, cut off, a decompression bomb, or has no member to read.
        RetryableError: the disk is full.
    """
    limit = allowed_bytes(path.stat().st_size, settings)
    with ExitStack() as stack:
        archive = _opened(path, kind, settings, stack)
        archive = replace(archive, members=_judged(archive.members.values(), pattern, settings))
        _check_wanted(archive, pattern, limit)
        yield archive


@contextmanager
def open_member(path: Path, kind: str, number: int, settings: IngestSettings) -> Iterator[Archive]:
    """Open an archive for one of its members, whatever the others are.

    Raises:
        KeyError: it has no such member.
        FileRefusedError: as `open_archive`.
        RetryableError: the disk is full.
    """
    with ExitStack() as stack:
        archive = _opened(path, kind, settings, stack)
        yield replace(archive, members=_judged([archive.members[number]], None, settings))


def _opened(path: Path, kind: str, settings: IngestSettings, stack: ExitStack) -> Archive:
    """The open archive with all of its members, which are not judged."""
    if kind == "zip":
        return _open_zip(path, settings, stack)
    limit = allowed_bytes(path.stat().st_size, settings)
    return _open_tar(_expanded_tar(path, kind, limit), kind, limit, stack)


def _check_wanted(archive: Archive, pattern: str | None, limit: int) -> None:
    if not archive.members:
        raise FileRefusedError.for_code(Code.EMPTY_FILE, "archive")
    if not archive.wanted:
        named = f" (member: {pattern})" if pattern else ""
        raise FileRefusedError.for_code(
            Code.EMPTY_FILE, "passed over", members=archive.passed_over, pattern=visible(named)
        )
    if archive.size > limit:
        raise FileRefusedError.for_code(Code.ARCHIVE_BOMB, "archive", limit=limit)


def _judged(members: Iterable[Member], pattern: str | None, settings: IngestSettings) -> dict[int, Member]:
    """The members with what follows from their paths: which are passed over, unsafe, or the second of a path."""
    judged: dict[int, Member] = {}
    paths: set[str] = set()
    for listed in members:
        path, fault = _safe_path(listed.path)
        is_wanted, refusal = _is_wanted(path, pattern), listed.refusal
        if is_wanted and refusal is None:
            refusal = _refusal(replace(listed, path=path), fault, paths, settings)
        if is_wanted:
            paths.add(path)
        judged[listed.number] = replace(listed, path=path, refusal=refusal, is_wanted=is_wanted)
    return judged


def _refusal(member: Member, fault: str | None, earlier: set[str], settings: IngestSettings) -> FileRefusedError | None:
    """Why a member is not loaded that could be read; None if it is."""
    if member.size > settings.max_file_bytes:
        return _too_large(member.size, settings.max_file_bytes)
    if fault:
        return FileRefusedError.for_code(Code.UNSAFE_MEMBER_NAME, reason=fault, name=visible(member.path[:200]))
    return FileRefusedError.for_code(Code.DUPLICATE_MEMBER) if member.path in earlier else None


def _is_wanted(path: str, pattern: str | None) -> bool:
    """Whether a member is loaded: what macOS adds is not, and what the pattern does not match."""
    parts = path.split("/")
    if "__MACOSX" in parts[:-1] or parts[-1] == ".DS_Store":
        return False
    if pattern is None:
        return True
    return pattern_regex(pattern).fullmatch(path if "/" in pattern else parts[-1]) is not None


def _safe_path(name: str) -> tuple[str, str | None]:
    """The path of a member as the ledger keeps it, and what is unsafe about its name, if anything is."""
    path = name.replace("\\", "/")  # as Windows writes it
    parts = [part for part in path.split("/") if part not in {"", "."}]
    drive = len(path) > 1 and path[1] == ":" and path[0].isalpha()
    storable = "".join(one if unicodedata.category(one) not in {"Cc", "Cs"} else "\ufffd" for one in path)
    if not parts or storable != path:
        fault = "is empty" if not parts else "has control characters or bytes that are no text"
    elif path.startswith("/") or drive:
        fault = "is absolute"
    elif ".." in parts:
        fault = "leads out of the archive"
    elif len(path.encode()) > MOST_NAME_BYTES:
        fault = f"is longer than {MOST_NAME_BYTES:,} bytes"
    else:
        return "/".join(parts), None
    return storable, fault


def _too_large(size: int, limit: int) -> FileRefusedError:
    return FileRefusedError.for_code(Code.ARCHIVE_BOMB, "member", size=size, limit=limit)


# --- ZIP


def _is_plain_zip(path: Path) -> bool:
    """Whether a ZIP file can be opened and is no document of an office program, such as a workbook."""
    try:
        with BoundedReads(path) as file, zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except _ERRORS:
        return False  # the reader of workbooks reports it
    is_document = "[Content_Types].xml" in names or "_rels/.rels" in names or {"mimetype", "content.xml"} <= names
    return not is_document


def _open_zip(path: Path, settings: IngestSettings, stack: ExitStack) -> Archive:
    try:
        file = stack.enter_context(BoundedReads(path))
        archive = stack.enter_context(zipfile.ZipFile(file))
    except _ERRORS as error:
        raise _damaged("ZIP", error) from error
    entries = archive.infolist()
    check_entries(len(entries))
    if entries and min(entry.header_offset for entry in entries) > 0:
        # The bytes before belong to another archive, whose members the directory does not name.
        raise _damaged("ZIP", "its directory does not name the first member")
    members: dict[int, Member] = {}
    openers: dict[int, Opener] = {}
    for number, entry in enumerate(entries, start=1):
        if entry.is_dir() and not entry.file_size:
            continue
        # `filename` ends at a NUL.
        members[number] = Member(number, entry.orig_filename, entry.file_size, _zip_refusal(entry, settings))
        is_bzip2 = entry.compress_type == zipfile.ZIP_BZIP2
        openers[number] = partial(_open_bzip2, archive, entry) if is_bzip2 else partial(archive.open, entry)
    return Archive("zip", members, openers)


def _open_bzip2(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> IO[bytes]:
    """A member for reading. `zipfile` itself expands all that it has read of bzip2 at once, in memory."""
    compressed = copy(entry)  # opened as if its compressed bytes were its content, which has no checksum
    compressed.compress_type, compressed.file_size = zipfile.ZIP_STORED, entry.compress_size
    del compressed.CRC
    return open_bzip2(archive.open(compressed), Expected(entry.file_size, entry.CRC))


def _zip_refusal(entry: zipfile.ZipInfo, settings: IngestSettings) -> FileRefusedError | None:
    if stat.S_ISLNK(entry.external_attr >> 16):
        return FileRefusedError.for_code(Code.ARCHIVE_LINK, kind="a symbolic link")
    if entry.flag_bits & (_IS_ENCRYPTED | _IS_ENCRYPTED_STRONGLY):
        return FileRefusedError.for_code(Code.ENCRYPTED_ARCHIVE)
    if entry.compress_type not in _READ_METHODS:
        reason = f"it is compressed by method {entry.compress_type}; deflate and bzip2 are read"
        return FileRefusedError.for_code(Code.UNREADABLE_FILE, "member", reason=reason)
    limit = allowed_bytes(entry.compress_size, settings)
    return _too_large(entry.file_size, limit) if entry.file_size > limit else None


# --- TAR


def _expanded_tar(path: Path, kind: str, limit: int) -> Path:
    """The TAR without its compression, which is read to its end."""
    _, _, compression = kind.partition("; ")
    if not compression:
        return path
    target = path.with_name("expanded.tar")
    try:
        spool(bounded(expanded(path, compression), limit), target)
    except DAMAGES as error:
        raise damaged(compression, error) from error
    except FileRefusedError as error:
        raise FileRefusedError.for_code(Code.ARCHIVE_BOMB, "archive", limit=limit) from error
    return target


def _open_tar(path: Path, kind: str, limit: int, stack: ExitStack) -> Archive:
    members: dict[int, Member] = {}
    openers: dict[int, Opener] = {}
    file = stack.enter_context(HeaderReads(path))
    try:
        archive = stack.enter_context(tarfile.TarFile(fileobj=file, encoding="utf-8", errors="surrogateescape"))
        for number, entry in enumerate(file.entries(archive), start=1):
            if entry.size < 0:
                raise _damaged("TAR", f"entry {number} has a negative size")
            if not entry.isdir():
                members[number] = Member(number, entry.name, entry.size, _tar_refusal(entry, limit))
                openers[number] = cast("Opener", partial(archive.extractfile, entry))  # None for links alone
        _check_end(file, archive.offset)
    except (*_ERRORS, RecursionError) as error:
        if "unexpected end of data" in str(error):
            raise FileRefusedError.for_code(Code.TRUNCATED_FILE, "archive", format="TAR") from error
        raise _damaged("TAR", error) from error
    return Archive(kind, members, openers)


def _tar_refusal(entry: tarfile.TarInfo, limit: int) -> FileRefusedError | None:
    if not entry.isreg():
        return FileRefusedError.for_code(Code.ARCHIVE_LINK, kind=_TAR_KINDS.get(entry.type, "of an unknown type"))
    return _too_large(entry.size, limit) if entry.size > limit else None


def _check_end(file: HeaderReads, offset: int) -> None:
    """Check that the list of members ends with the end of the archive, and not with a header that cannot be read.

    Raises:
        FileRefusedError: the archive is cut off, or other data follows.
    """
    file.seek(offset)
    block = file.read(_BLOCK)
    if len(block) < _BLOCK:
        raise FileRefusedError.for_code(Code.TRUNCATED_FILE, "archive", format="TAR")
    while block:
        if block.count(0) < len(block):
            raise _damaged("TAR", "data that is no member follows its last one")
        block = file.read(CHUNK_BYTES)


def _damaged(kind: str, error: Exception | str) -> FileRefusedError:
    reason = error if isinstance(error, str) else reason_of(error)
    return FileRefusedError.for_code(Code.UNREADABLE_FILE, "archive", format=kind, reason=reason)
