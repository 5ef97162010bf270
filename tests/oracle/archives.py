"""The members of ZIP and TAR archives, and the verdict on each.

What belongs here: which members there are, and what their names mean. What does not: damage; a member's content
(`judge`).
"""

from __future__ import annotations

import hashlib
import io
import re
import stat
import tarfile
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

from include.errors import Code
from tests.oracle.contents import expanded
from tests.oracle.judge import judge
from tests.oracle.verdict import FileRefused, Verdict

if TYPE_CHECKING:
    from include.contracts.model import Contract

_ZIPS = (b"PK\x03\x04", b"PK\x05\x06")


@dataclass(frozen=True)
class ArchiveVerdict:
    """The expected outcome of an archive: why it is refused as a whole, or the verdicts by its members' paths."""

    code: Code | None
    members: tuple[tuple[str, Verdict], ...] = ()
    sha256: str = ""


def judge_archive(contract: Contract, body: bytes, key: str) -> ArchiveVerdict | None:
    """The verdicts on the members of an archive, in the order in which they load; None if the bytes are none."""
    listed = _listed(body)
    if listed is None:
        return None
    above = key.split("/")[:-1]
    # Folders of the key give values to members.
    folders = "\0".join(above) if any(column.partition for column in contract.columns) else ""
    sha256 = hashlib.sha256(body + folders.encode()).hexdigest()
    found: list[tuple[str, Verdict]] = []
    for name, content in listed:
        path, is_safe = _path(name)
        if not _is_wanted(path, contract.dialect.member):
            continue
        code = _refusal(content, is_safe=is_safe, is_second=path in {earlier for earlier, _ in found})
        verdict = Verdict(code) if code else judge(contract, content or b"", "/".join([*above, path]))
        found.append((path, verdict))
    ordered = sorted(found, key=lambda pair: pair[0].encode())
    return ArchiveVerdict(None if found else Code.EMPTY_FILE, tuple(ordered), sha256)


def _refusal(content: bytes | None, *, is_safe: bool, is_second: bool) -> Code | None:
    """Why a member is refused before it is read."""
    if content is None:
        return Code.ARCHIVE_LINK
    if not is_safe:
        return Code.UNSAFE_MEMBER_NAME
    if is_second:
        return Code.DUPLICATE_MEMBER
    return Code.NESTED_ARCHIVE if _listed(content) is not None else None


def _listed(body: bytes) -> list[tuple[str, bytes | None]] | None:
    """The names and contents of the files in an archive, without a content for a link; None for any other file."""
    if body.startswith(_ZIPS):
        return _listed_zip(body)
    try:
        body = expanded(body)
        with tarfile.open(fileobj=io.BytesIO(body), mode="r:") as archive:
            return [
                (one.name, _content(archive, one) if one.isreg() else None)
                for one in archive.getmembers()
                if not one.isdir()
            ]
    except (FileRefused, tarfile.TarError):
        return None


def _content(archive: tarfile.TarFile, entry: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(entry)
    assert stream is not None
    return stream.read()


def _listed_zip(body: bytes) -> list[tuple[str, bytes | None]] | None:
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            if "[Content_Types].xml" in archive.namelist():  # a workbook
                return None
            return [
                (one.filename, None if stat.S_ISLNK(one.external_attr >> 16) else archive.read(one))
                for one in archive.infolist()
                if not one.is_dir()
            ]
    except zipfile.BadZipFile:
        return None


def _path(name: str) -> tuple[str, bool]:
    """The path of a member as it is noted, and whether its name is safe."""
    path = name.replace("\\", "/")
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or re.match("[A-Za-z]:", path) or ".." in parts or re.search("[\0-\x1f\x7f]", path):
        return re.sub("[\0-\x1f\x7f]", "\ufffd", path), False
    return "/".join(parts), True


def _is_wanted(path: str, pattern: str | None) -> bool:
    *folders, last = path.split("/")
    if "__MACOSX" in folders or last == ".DS_Store":
        return False
    if pattern is None:
        return True
    signs = {"*": "[^/]*", "?": "[^/]"}
    regex = "".join(signs.get(sign, re.escape(sign)) for sign in pattern)
    return re.fullmatch(regex, path if "/" in pattern else last) is not None
