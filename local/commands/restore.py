"""`filegate restore`: replaces a platform's home by a backup, completely or not at all.

The new home is copied beside the old one, and replaces it when every checksum is right. A restore that fails or is
killed leaves the old home unchanged and the platform stopped.
"""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING

from local.commands.backup import alone, check_room
from local.commands.backup_manifest import SECRETS, Manifest, read_verified
from local.commands.file_copy import copy_files
from local.console import Progress, Silence, step
from local.errors import PlatformError
from local.services import postgres
from local.supervisor.platform import Platform

if TYPE_CHECKING:
    from pathlib import Path

    from local.settings import Layout, PlatformSettings


def restore(settings: PlatformSettings, source: Path, progress: Progress | None = None, *, force: bool) -> Manifest:
    """Replace the platform's home with the content of a backup. The platform is stopped afterwards.

    Args:
        settings: of the platform; its home is replaced.
        source: a folder that `back_up` made.
        progress: receives each step.
        force: replace a home that contains data.

    Raises:
        PlatformError: the backup is damaged or of another PostgreSQL, or the home has data and `force` is not set.
    """
    progress, layout = progress or Silence(), settings.layout
    _check_folders(source, layout)
    with step(progress, "checksums", "good"):
        manifest = read_verified(source)
    _check_usable(manifest, source)
    if not force and any(path.exists() for path in (layout.secrets, layout.postgres, layout.s3, layout.old_buckets)):
        raise PlatformError(
            f"{layout.home} contains data already", "run `make clean` first, or give --force to replace the data"
        )
    layout.home.parent.mkdir(parents=True, exist_ok=True)
    check_room(sum((source / name).stat().st_size for name in manifest.files), layout.home.parent)
    # Both locks are held to the end: a platform started meanwhile would write to a folder that is about to be deleted.
    with alone(layout) if layout.secrets.exists() else nullcontext(), Platform(settings, progress).stopped():
        shutil.rmtree(layout.restoring, ignore_errors=True)  # left by a killed restore
        try:
            with step(progress, "files", "copied"):
                _build(source, manifest, layout)
            os.sync()  # everything is on the disk before the old home is replaced
        except BaseException:
            shutil.rmtree(layout.restoring, ignore_errors=True)
            raise
        _replace_home(layout)
    return manifest


def _check_folders(source: Path, layout: Layout) -> None:
    home = layout.home
    if source.resolve().is_relative_to(home):
        raise PlatformError(f"the backup {source} is inside {home}, which is replaced", "move the backup elsewhere")
    if home.exists() and not layout.marker.exists() and any(home.iterdir()):
        raise PlatformError(f"{home} contains other files", "check PLATFORM_HOME; nothing was changed")
    if home.is_mount():
        raise PlatformError(f"{home} is a mount point and cannot be replaced", "set PLATFORM_HOME to a folder below it")


def _check_usable(manifest: Manifest, source: Path) -> None:
    if SECRETS not in manifest.files:
        raise PlatformError(f"{source} has no {SECRETS}", "use a backup that has it; the data cannot be read without")
    if manifest.server != (installed := postgres.installed_version()):
        raise PlatformError(
            f"the backup is of {manifest.server}, and here is {installed}, which cannot read its files",
            "restore it with the version that made it, and move the databases with pg_dump: docs/backup.md",
        )


def _build(source: Path, manifest: Manifest, layout: Layout) -> None:
    copied = copy_files(source, layout.restoring, manifest.folders, manifest.files)
    if wrong := [name for name in copied if copied[name] != manifest.files[name]]:
        raise PlatformError(f"the copy of {wrong[0]} differs from the backup", "check the disk; nothing was replaced")
    postgres.give_to_server(layout.restoring / layout.postgres.name)


def _replace_home(layout: Layout) -> None:
    """Rename the old home and then the new one.

    If the process is killed between them, no data is lost: `make up` refuses to create an empty home and explains.
    """
    shutil.rmtree(layout.replaced, ignore_errors=True)
    layout.home.rename(layout.replaced)
    layout.restoring.rename(layout.home)
    shutil.rmtree(layout.replaced, ignore_errors=True)
