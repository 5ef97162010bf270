"""Caches the result of checking a contract on disk, by the hash of its content.

What belongs here: keys, and safe files. What does not: checking (`checked`). The folder and its files must belong to
this user alone; others are ignored. Without a usable folder nothing is cached, and every process checks by itself.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import sys
import time
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

MAX_ENTRY_BYTES = 8 * 1024**2
_KEEP_SECONDS = 30 * 24 * 3600
# Packages whose versions, beside the code of this package, decide the result of a check.
_PACKAGES = ("duckdb", "jsonschema", "open-data-contract-standard", "pydantic", "pyyaml")

Entry = dict[str, Any]


def content_key(name: str, content: bytes) -> str:
    """The cache key: a hash of the file's name, its bytes, this package's code and the libraries' versions."""
    digest = sha256(f"{code_fingerprint()}\0{name}\0".encode("utf-8", "surrogateescape"))
    digest.update(content)
    return digest.hexdigest()


@lru_cache(maxsize=1)
def code_fingerprint() -> str:
    """A hash of this package's code and of the versions of Python, DuckDB and the libraries that read contracts."""
    digest = sha256(sys.version.encode())
    for package in _PACKAGES:
        digest.update(f"{package} {version(package)}\0".encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


class ContractCache:
    """The entries in one folder. Reading and writing never raise: without a usable folder nothing is cached."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pruned = False

    def get(self, key: str) -> Entry | None:
        """The entry of a key; None if there is none, or if it is damaged or not this user's."""
        try:
            if not self._is_ours():
                return None
            opened = os.open(self._folder / f"{key}.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with os.fdopen(opened, "rb") as file:
                if not _is_private_file(os.fstat(opened)):
                    return None
                entry = json.loads(file.read(MAX_ENTRY_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
        return entry if isinstance(entry, dict) and entry.get("key") == key else None

    def put(self, key: str, entry: Entry) -> None:
        """Store an entry. Several processes may write the same one: each replaces the file as a whole."""
        content = json.dumps({**entry, "key": key}).encode()
        if len(content) >= MAX_ENTRY_BYTES:
            return
        with contextlib.suppress(OSError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours():
                return
            self._prune()
            file = NamedTemporaryFile(dir=self._folder, prefix=".new-", delete=False)  # noqa: SIM115 - renamed below
            try:
                with file:
                    file.write(content)
                Path(file.name).replace(self._folder / f"{key}.json")
            except OSError:
                Path(file.name).unlink(missing_ok=True)

    def _is_ours(self) -> bool:
        """Whether the folder belongs to this user and no other user can write to it."""
        found = self._folder.lstat()
        return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o022

    def _prune(self) -> None:
        """Remove old entries. A contract that is still in use is checked again once a month."""
        if self._pruned:
            return
        self._pruned = True
        oldest = time.time() - _KEEP_SECONDS
        for path in self._folder.iterdir():
            with contextlib.suppress(OSError):
                if path.lstat().st_mtime < oldest:
                    path.unlink()


def _is_private_file(found: os.stat_result) -> bool:
    plain = stat.S_ISREG(found.st_mode) and found.st_size < MAX_ENTRY_BYTES
    return plain and found.st_uid == os.geteuid() and not found.st_mode & 0o077
