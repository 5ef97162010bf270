"""Writes small ZIP and TAR archives, as programs and attackers write them."""

from __future__ import annotations

import io
import tarfile
import warnings
import zipfile

Packed = tuple[str, bytes | str]
ENCRYPTED = 1


def zipped(*members: Packed, method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A ZIP archive; names may occur more than once."""
    target = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(target, "w", method) as archive:
        warnings.simplefilter("ignore")  # about a name that occurs twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return target.getvalue()


def encrypted(archive: bytes, name: str) -> bytes:
    """The ZIP archive with the flag of encryption at a member, in both of its headers."""
    changed = bytearray(archive)
    with zipfile.ZipFile(io.BytesIO(archive)) as packed:
        local = packed.getinfo(name).header_offset
        central = archive.index(b"PK\x01\x02")
        while not archive[central + 46 :].startswith(name.encode()):
            central = archive.index(b"PK\x01\x02", central + 1)
    changed[local + 6] |= ENCRYPTED
    changed[central + 8] |= ENCRYPTED
    return bytes(changed)


def zipped_link(name: str, target: str) -> bytes:
    """A ZIP archive with a symbolic link."""
    info = zipfile.ZipInfo(name)
    info.external_attr = 0o120777 << 16
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr(info, target)
    return content.getvalue()


def tarred(*members: Packed | tarfile.TarInfo, mode: str = "w") -> bytes:
    """A TAR archive; `mode` may have a compression, as in `w:gz`. A TarInfo is an entry without content."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode=mode) as archive:  # type: ignore[call-overload]
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            name, content = member
            body = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name)
            info.size = len(body)
            archive.addfile(info, io.BytesIO(body))
    return target.getvalue()


def entry(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    """An entry of a TAR without content, such as a link."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info
