"""`make restore`: a platform's home from a backup, whole or not at all.

The new home is built beside the old one, under a name of its own, and takes the old one's place when every row is
there. A restore that fails or is killed leaves the old home as it was, stopped.
"""

from __future__ import annotations

import os
import shutil
from contextlib import nullcontext
from typing import TYPE_CHECKING

from local import bucket, dumps, postgres
from local.backup import OBJECTS, alone, dump_name
from local.backup_manifest import SECRETS, Manifest, read_verified
from local.console import Progress, Silence, step
from local.errors import PlatformError
from local.file_copy import copy_file
from local.platform import STORES, Platform
from local.postgres import DATABASES, recreate_database

if TYPE_CHECKING:
    from pathlib import Path

    from local.settings import Layout, PlatformSettings

# Those of format 1 are plain files, which the start of the S3 server imports.
_OBJECTS = (f"{OBJECTS}/", "buckets/")


def restore(settings: PlatformSettings, source: Path, progress: Progress | None = None, *, force: bool) -> Manifest:
    """Make the platform's home anew from a backup. It is left stopped: `make up` starts it.

    Args:
        settings: of the platform; its home is replaced.
        source: a folder that `back_up` made.
        progress: is told of each step.
        force: replace a home that holds data.

    Raises:
        PlatformError: the backup is damaged, there is data and no `force`, or rows are missing afterwards.
    """
    progress, layout = progress or Silence(), settings.layout
    _check_places(source, layout)
    with step(progress, "checksums", "good"):
        manifest = read_verified(source)
    if SECRETS not in manifest.files:
        raise PlatformError(f"{source} has no {SECRETS}", "a backup without it cannot be restored")
    if not force and _holds_data(layout):
        raise PlatformError(
            f"{layout.home} holds data already", "run `make clean` first, or give FORCE=1 to replace what is there"
        )
    draft = settings.model_copy(update={"platform_home": layout.restoring})
    layout.home.parent.mkdir(parents=True, exist_ok=True)
    _check_room(manifest, layout.home.parent)
    # A start in between would lose what came in since, and go on in a folder that is deleted.
    with alone(layout) if layout.secrets.exists() else nullcontext(), Platform(settings, progress).at_rest():
        Platform(draft).clean()  # what a killed restore left
        building = Platform(draft, progress)
        try:
            _build(building, source, manifest, progress)
            building.down()
        except BaseException:
            building.clean()
            raise
        os.sync()  # whole on the disk before the old one goes
        _take_place(draft.layout, layout)
    return manifest


def _check_places(source: Path, layout: Layout) -> None:
    home = layout.home
    if source.resolve().is_relative_to(home):
        raise PlatformError(f"{source} lies in {home}, which is replaced", "move the backup to another place")
    if home.exists() and not layout.marker.exists() and any(home.iterdir()):
        raise PlatformError(f"{home} holds something else", "check PLATFORM_HOME; nothing was changed")
    if home.is_mount():
        raise PlatformError(
            f"{home} is a mount point: no other folder can take its place", "set PLATFORM_HOME to a folder below it"
        )


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
            if database.name == postgres.WAREHOUSE:  # the start has migrated it; a dump wants an empty one
                recreate_database(settings, credentials, database)
            found = dumps.restore(settings, credentials, database.name, source / dump_name(database.name))
            _compare(database, manifest.rows[database.name], found)


def _check_buckets(platform: Platform, manifest: Manifest) -> None:
    """Whether the S3 server has taken the restored files for its own."""
    s3 = bucket.client(bucket.admin_config(platform.settings, platform.credentials))
    found = {entry["Name"] for entry in s3.list_buckets()["Buckets"]}
    if missing := sorted(set(manifest.buckets) - found):
        raise PlatformError(f"the bucket {missing[0]} is not there", "take another backup; nothing was replaced")


def _compare(database: postgres.Database, expected: dumps.Counts, found: dumps.Counts) -> None:
    wrong = sorted(table for table in expected.keys() | found.keys() if expected.get(table) != found.get(table))
    if wrong:
        table = wrong[0]
        raise PlatformError(
            f"{database.name}: {table} has {found.get(table)} rows, the backup counted {expected.get(table)}",
            "take another backup; nothing was replaced",
        )


def _check_room(manifest: Manifest, folder: Path) -> None:
    """A dump grows when it is restored: its rows are not compressed, and the indexes come on top."""
    wanted = sum(stored.bytes * (1 if name.startswith(_OBJECTS) else 10) for name, stored in manifest.files.items())
    free = shutil.disk_usage(folder).free
    if free < wanted:
        raise PlatformError(
            f"the restore may need {wanted // 2**20} MB, and {free // 2**20} MB are free at {folder}", "make room"
        )


def _take_place(new: Layout, old: Layout) -> None:
    """Two renames. Killed between them, nothing is lost: `make up` refuses to begin an empty home, and says so."""
    shutil.rmtree(old.replaced, ignore_errors=True)
    old.home.rename(old.replaced)
    new.home.rename(old.home)
    shutil.rmtree(old.replaced, ignore_errors=True)
