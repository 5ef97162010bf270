"""`make restore`: rebuilds a platform's home from a backup, completely or not at all.

The new home is built beside the old one, and replaces it when all row counts are right. A restore that fails or is
killed leaves the old home unchanged and the platform stopped.
"""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING

from local.commands import dumps
from local.commands.backup import OBJECTS, alone, dump_name
from local.commands.backup_manifest import SECRETS, Manifest, read_verified
from local.commands.file_copy import copy_file
from local.console import Progress, Silence, step
from local.errors import PlatformError
from local.services import bucket, postgres
from local.services.postgres import DATABASES, recreate_database
from local.supervisor.platform import STORES, Platform

if TYPE_CHECKING:
    from pathlib import Path

    from local.settings import Layout, PlatformSettings

# The prefixes of objects in a backup. In format 1 they are plain files below buckets/, which the next start imports.
_OBJECTS = (f"{OBJECTS}/", "buckets/")


def restore(settings: PlatformSettings, source: Path, progress: Progress | None = None, *, force: bool) -> Manifest:
    """Replace the platform's home with the content of a backup. The platform is stopped afterwards.

    Args:
        settings: of the platform; its home is replaced.
        source: a folder that `back_up` made.
        progress: receives each step.
        force: replace a home that contains data.

    Raises:
        PlatformError: the backup is damaged, the home has data and `force` is not set, or row counts differ.
    """
    progress, layout = progress or Silence(), settings.layout
    _check_folders(source, layout)
    with step(progress, "checksums", "good"):
        manifest = read_verified(source)
    if SECRETS not in manifest.files:
        raise PlatformError(f"{source} has no {SECRETS}", "use a backup that has it; the data cannot be read without")
    if not force and _holds_data(layout):
        raise PlatformError(
            f"{layout.home} contains data already", "run `make clean` first, or set FORCE=1 to replace the data"
        )
    draft = settings.model_copy(update={"platform_home": layout.restoring})
    layout.home.parent.mkdir(parents=True, exist_ok=True)
    _check_room(manifest, layout.home.parent)
    # Both locks are held to the end: a platform started meanwhile would write to a folder that is about to be deleted.
    with alone(layout) if layout.secrets.exists() else nullcontext(), Platform(settings, progress).stopped():
        Platform(draft).clean()  # left by a killed restore
        building = Platform(draft, progress)
        try:
            _build(building, source, manifest, progress)
            building.down()
        except BaseException:
            building.clean()
            raise
        os.sync()  # everything is on the disk before the old home is replaced
        _replace_home(draft.layout, layout)
    return manifest


def _check_folders(source: Path, layout: Layout) -> None:
    home = layout.home
    if source.resolve().is_relative_to(home):
        raise PlatformError(f"the backup {source} is inside {home}, which is replaced", "move the backup elsewhere")
    if home.exists() and not layout.marker.exists() and any(home.iterdir()):
        raise PlatformError(f"{home} contains other files", "check PLATFORM_HOME; nothing was changed")
    if home.is_mount():
        raise PlatformError(f"{home} is a mount point and cannot be replaced", "set PLATFORM_HOME to a folder below it")


def _holds_data(layout: Layout) -> bool:
    return any(path.exists() for path in (layout.secrets, layout.postgres, layout.s3, layout.old_buckets))


def _build(platform: Platform, source: Path, manifest: Manifest, progress: Progress) -> None:
    layout = platform.settings.layout
    layout.home.mkdir(mode=0o700, parents=True)
    layout.marker.touch()
    copy_file(source / SECRETS, layout.secrets)
    with step(progress, "objects", "restored"):
        for name in manifest.files:
            if name.startswith(_OBJECTS):
                copy_file(source / name, layout.home / name)
    platform.up(STORES)
    _check_buckets(platform, manifest)
    settings, credentials = platform.settings, platform.credentials
    for database in DATABASES:
        if database.name not in manifest.rows:
            continue
        with step(progress, f"database {database.name}", "restored"):
            if database.name == postgres.WAREHOUSE:  # the start has migrated it; a restore needs an empty database
                recreate_database(settings, credentials, database)
            found = dumps.restore(settings, credentials, database.name, source / dump_name(database.name))
            _compare(database, manifest.rows[database.name], found)


def _check_buckets(platform: Platform, manifest: Manifest) -> None:
    """Check that the S3 server has the restored buckets."""
    s3 = bucket.client(bucket.admin_config(platform.settings, platform.credentials))
    found = {entry["Name"] for entry in s3.list_buckets()["Buckets"]}
    if missing := sorted(set(manifest.buckets) - found):
        raise PlatformError(f"the bucket {missing[0]} is missing", "use another backup; nothing was replaced")


def _compare(database: postgres.Database, expected: dumps.Counts, found: dumps.Counts) -> None:
    wrong = sorted(table for table in expected.keys() | found.keys() if expected.get(table) != found.get(table))
    if wrong:
        table = wrong[0]
        raise PlatformError(
            f"{database.name}: {table} has {found.get(table)} rows, the backup counted {expected.get(table)}",
            "use another backup; nothing was replaced",
        )


def _check_room(manifest: Manifest, folder: Path) -> None:
    """Check the free space. A restored database takes up to ten times its compressed dump, with its indexes."""
    wanted = sum(stored.bytes * (1 if name.startswith(_OBJECTS) else 10) for name, stored in manifest.files.items())
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise PlatformError(
            f"the restore may need {wanted // 2**20} MB, and {free // 2**20} MB are free at {folder}", "free disk space"
        )


def _replace_home(new: Layout, old: Layout) -> None:
    """Rename the old home and then the new one.

    If the process is killed between them, no data is lost: `make up` refuses to create an empty home and explains.
    """
    shutil.rmtree(old.replaced, ignore_errors=True)
    old.home.rename(old.replaced)
    new.home.rename(old.home)
    shutil.rmtree(old.replaced, ignore_errors=True)
