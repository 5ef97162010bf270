"""Copies of the buckets' folders: every object with its checksum, none that is still being written.

What belongs here: files and their checksums. What does not: which of them a backup needs (`local.backup`).
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

_CHUNK = 4 * 2**20
_READING = "r"


class Mirror:
    """A growing copy of one folder in another. Names are relative, with slashes.

    Attributes:
        sums: the checksum (SHA-256) of every file in the copy.
        arriving: the names that somebody was still writing to; they are not in the copy.
    """

    def __init__(self, source: Path, target: Path) -> None:
        self.source, self.target = source, target
        self.sums: dict[str, str] = {}
        self.arriving: set[str] = set()
        self._stamps: dict[str, tuple[int, int]] = {}
        target.mkdir(mode=0o700, parents=True)

    def names(self) -> list[str]:
        """What lies in the source now."""
        return names_below(self.source)

    def refresh(self, names: list[str]) -> None:
        """Bring the copies of these files up to date, those that are the same already excepted."""
        self.arriving = set()
        copied = {name: stamp for name in names if (stamp := self._copy(name)) is not None}
        # In this order: a writer that ended before the first look has left its trace for the second.
        open_now = written_now(self.source) if copied else set()
        for name, stamp in copied.items():
            self._stamps[name] = stamp
            now = _stamp(self.source / name)
            if now != stamp or self.source / name in open_now:
                self.forget(name)
                self.arriving.update([name] if now else [])  # gone: it moved on

    def move(self, name: str, other: str) -> None:
        """Give a file another name in the copy, in place of what bears it there."""
        (self.target / other).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.target / name).replace(self.target / other)
        self.sums[other] = self.sums[name]
        self._stamps.pop(other, None)
        self.forget(name)

    def forget(self, name: str) -> None:
        """Take a file out of the copy."""
        (self.target / name).unlink(missing_ok=True)
        self._stamps.pop(name, None)
        self.sums.pop(name, None)

    def _copy(self, name: str) -> tuple[int, int] | None:
        stamp = _stamp(self.source / name)
        if stamp is not None and self._stamps.get(name) != stamp:
            try:
                self.sums[name] = copy_file(self.source / name, self.target / name)
            except FileNotFoundError:
                return None
            return stamp
        return None


def copy_file(source: Path, target: Path) -> str:
    """Copy a file with its times, for its owner alone; a copy that was there before is replaced as a whole.

    Returns:
        The checksum of what was copied.
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
    """The SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def names_below(folder: Path) -> list[str]:
    """Every file below a folder, links excepted."""
    return sorted(path.relative_to(folder).as_posix() for path in _files(folder))


def written_now(folder: Path) -> set[Path]:
    """The files below a folder that some process has open for writing, as far as we may see that."""
    below = str(folder) + os.sep
    return {
        Path(opened.path)
        for process in psutil.process_iter()
        for opened in _open_files(process)
        if opened.path.startswith(below) and getattr(opened, "mode", "") != _READING
    }


def _open_files(process: psutil.Process) -> list[Any]:
    try:
        return list(process.open_files())
    except (psutil.Error, OSError):
        return []


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_file() and not path.is_symlink():
            yield path


def _stamp(path: Path) -> tuple[int, int] | None:
    """By which a file is known to be the same as before: its bytes and its last change; None if it is gone."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_size, found.st_mtime_ns
