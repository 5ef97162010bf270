"""A separate platform for some tests, in a temporary folder and on free ports."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from local.settings import temporary_settings
from local.supervisor.platform import STORES, Platform

if TYPE_CHECKING:
    from collections.abc import Iterator


# The mutation check runs the tests many times on one platform: it sets the home of that platform, and the name of the
# run, which becomes part of the names of buckets and datasets.
PLATFORM_HOME, RUN = "TEST_PLATFORM_HOME", "TEST_RUN"


@contextmanager
def shared_platform() -> Iterator[Platform]:
    """The running platform in TEST_PLATFORM_HOME, or a new one."""
    home = os.environ.get(PLATFORM_HOME)
    if home:
        yield Platform(temporary_settings(Path(home)))
    else:
        with own_platform() as platform:
            yield platform


@contextmanager
def own_platform(services: tuple[str, ...] = STORES) -> Iterator[Platform]:
    """Start a platform and migrate its stores; stop and delete it at the end."""
    # Not pytest's temporary folder, which other users cannot enter: as root, PostgreSQL runs as another user.
    home = Path(tempfile.mkdtemp(prefix="platform-"))
    # The pipelines' key may use the buckets that tests create.
    platform = Platform(temporary_settings(home, s3_extra_buckets="*"))
    try:
        platform.up(services)
        yield platform
    finally:
        platform.down()
        shutil.rmtree(home)
