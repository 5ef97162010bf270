"""Reads the bytes of a contract file, or of another YAML file of a user, within a limit.

What belongs here: opening the file safely. What does not: its YAML (`safe_yaml`). This module imports nothing heavy: a
process that finds every contract in the cache needs no more.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from include.contracts.problems import ContractError, Problem, UnusableFileError

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 256 * 1024


def read_content(path: Path) -> bytes:
    """Read the bytes of a contract file.

    Raises:
        ContractError: it cannot be read, or is too large.
    """
    try:
        return read_plain_file(path, "a contract describes one dataset; split it")
    except UnusableFileError as error:
        raise ContractError.of(path, [error.problem]) from error


def read_plain_file(path: Path, too_large: str) -> bytes:
    """Read the bytes of a file. Only a plain file is read: opening a pipe without a writer blocks for ever.

    Args:
        path: the file.
        too_large: the remedy if it is larger than MAX_BYTES.

    Raises:
        UnusableFileError: it cannot be read, or is too large.
    """
    remedy = "name an existing, readable file"
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise UnusableFileError(Problem("", "not a plain file", remedy))
            with os.fdopen(opened, "rb", closefd=False) as stream:
                content = stream.read(MAX_BYTES + 1)
        finally:
            os.close(opened)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UnusableFileError(Problem("", f"cannot be read: {reason}", remedy)) from error
    if len(content) > MAX_BYTES:
        raise UnusableFileError(Problem("", f"larger than {MAX_BYTES // 1024} KiB", too_large))
    return content
