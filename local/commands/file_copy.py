"""Copies of files with their checksums.

What belongs here: files and checksums. What does not: the choice of files for a backup (`local.commands.backup`).
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_CHUNK = 4 * 2**20


def copy_files(source: Path, target: Path, folders: Iterable[str], names: Iterable[str]) -> dict[str, str]:
    """Copy folders, parents first, and files into a new folder. Only their owner may read them.

    Returns:
        The SHA-256 of each file.
    """
    for folder in (target, *(target / name for name in folders)):
        folder.mkdir(mode=0o700)
    return {name: copy_file(source / name, target / name) for name in names}


def copy_file(source: Path, target: Path) -> str:
    """Copy a file with its times, readable by its owner only. An existing target is replaced atomically.

    Returns:
        The SHA-256 of the copied bytes.
    """
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = target.parent / ".being-copied"
    digest = hashlib.sha256()
    try:
        draft.unlink(missing_ok=True)
        private = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(private, "wb") as writing, source.open("rb") as reading:
            while chunk := reading.read(_CHUNK):
                digest.update(chunk)
                writing.write(chunk)
        times = source.stat()
        os.utime(draft, ns=(times.st_atime_ns, times.st_mtime_ns))
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)
    return digest.hexdigest()


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names_below(folder: Path) -> list[str]:
    """Return the relative paths of all files below a folder, except links."""
    paths = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(path.relative_to(folder).as_posix() for path in paths)
