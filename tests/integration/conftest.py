"""One PostgreSQL and one S3 server for all integration tests, in a folder and on ports of their own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local.platform import STORES, Platform
from local.settings import temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def platform() -> Iterator[Platform]:
    """The stores, started and migrated; `warehouse_config(role)` and `s3_config` say how to reach them."""
    # Not pytest's own temporary folder: that is closed to other users, and PostgreSQL is one when we are root.
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    running = Platform(temporary_settings(home))
    try:
        running.up(STORES)
        yield running
    finally:
        running.down()
        shutil.rmtree(home)
