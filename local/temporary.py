"""A place for a platform that is there for a trial only, and what it is told meanwhile.

What belongs here: the folder and the environment, and that both are as before at the end. What does not: the platform.
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
    """A new folder in which a platform can have its home; deleted at the end unless it is to be kept."""
    folder = Path(tempfile.mkdtemp(prefix=prefix))
    # PostgreSQL runs as a user of its own when we are root, and must be able to enter.
    folder.chmod(0o755)
    try:
        yield folder
    finally:
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def told(variables: Mapping[str, str]) -> Iterator[None]:
    """These variables in this process's environment; at the end it is as it was."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
