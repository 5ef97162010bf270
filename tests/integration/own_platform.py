"""A platform for some tests alone, in a folder and on ports of its own."""

from __future__ import annotations

import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from local.platform import STORES, Platform
from local.settings import temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def own_platform(services: tuple[str, ...] = STORES) -> Iterator[Platform]:
    """Started, and migrated if the stores are there; stopped and deleted at the end."""
    # Not pytest's own temporary folder: that is closed to other users, and PostgreSQL is one when we are root.
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    platform = Platform(temporary_settings(home))
    try:
        platform.up(services)
        yield platform
    finally:
        platform.down()
        shutil.rmtree(home)
