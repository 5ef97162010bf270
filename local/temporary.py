"""Temporary folders and environment variables for a temporary platform.

What belongs here: creating them, and restoring the previous state at the end. What does not: the platform.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@contextmanager
def temporary_folder(prefix: str, *, keep: bool = False) -> Iterator[Path]:
    """Create a folder for a platform's home; delete it at the end unless `keep` is set."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    # If the platform runs as root, PostgreSQL runs as another user, which must be able to enter.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def patched_env(variables: Mapping[str, str]) -> Iterator[None]:
    """Set variables in the environment of this process; restore the environment at the end."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
