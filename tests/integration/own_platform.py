"""A platform for some tests alone, in a folder and on ports of its own."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from local.platform import STORES, Platform
from local.settings import temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator


# Whoever runs these tests again and again, as the mutation check does, names the home of a platform that runs, and the
# run: buckets and datasets of a test have another name in each.
PLATFORM_HOME, RUN = "TEST_PLATFORM_HOME", "TEST_RUN"


@contextmanager
def shared_platform() -> Iterator[Platform]:
    """The running platform that the environment names; without one, a new one of our own."""
    home = os.environ.get(PLATFORM_HOME)
    if home:
        yield Platform(temporary_settings(Path(home)))
    else:
        with own_platform() as platform:
            yield platform


@contextmanager
def own_platform(services: tuple[str, ...] = STORES) -> Iterator[Platform]:
    """Started, and migrated if the stores are there; stopped and deleted at the end."""
    # Not pytest's own temporary folder: that is closed to other users, and PostgreSQL is one when we are root.
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    # The buckets that tests make are opened to the pipelines' key, and to no other.
    platform = Platform(temporary_settings(home, s3_extra_buckets="*"))
    try:
        platform.up(services)
        yield platform
    finally:
        platform.down()
        shutil.rmtree(home)
