"""Reads the bytes of a contract file, within a limit.

What belongs here: opening the file safely. What does not: its YAML (`document`). This module imports nothing heavy: a
process that finds every contract in the cache needs no more.
"""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from include.contracts.problems import ContractError, Problem

if TYPE_CHECKING:
    from pathlib import Path

MAX_BYTES = 256 * 1024


def read_content(path: Path) -> bytes:
    """Read the bytes of a contract file. Only a plain file is read: opening a pipe without a writer blocks for ever.

    Raises:
        ContractError: it cannot be read, or is too large.
    """
    remedy = "name an existing, readable file"
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            if not stat.S_ISREG(os.fstat(opened).st_mode):
                raise _refusal(path, "not a plain file", remedy)
            with os.fdopen(opened, "rb", closefd=False) as stream:
                content = stream.read(MAX_BYTES + 1)
        finally:
            os.close(opened)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise _refusal(path, f"cannot be read: {reason}", remedy) from error
    if len(content) > MAX_BYTES:
        raise _refusal(path, f"larger than {MAX_BYTES // 1024} KiB", "a contract describes one dataset; split it")
    return content


def _refusal(path: Path, what: str, remedy: str) -> ContractError:
    return ContractError.of(path, [Problem("", what, remedy)])
