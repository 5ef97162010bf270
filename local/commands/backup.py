"""`make backup`: databases, buckets and secrets of a running platform in one folder, complete or not at all.

Consistency:

- The S3 server is stopped while its files are copied, and a snapshot of each database is opened meanwhile. So buckets,
  topics and databases are in the state of one moment, as after a crash of the machine. Pipelines continue from it: a
  file that is loaded and not moved yet is moved, a file that is claimed and not loaded yet is loaded.
- The warehouse's rows and its ledger are one snapshot: a file is loaded in both or in neither.
- Pipelines may run: the bucket does not answer during the copy, and they wait for it.
- Not included: task logs, spooled files, and topics of a broker that keeps them in memory.
"""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psycopg
from botocore.exceptions import BotoCoreError, ClientError

from local.commands import backup_manifest, dumps
from local.commands.backup_manifest import Manifest, Stored
from local.commands.file_copy import checksum, copy_file, names_below
from local.console import Progress, Silence, step
from local.errors import PlatformError
from local.services import bucket, postgres
from local.services.postgres import DATABASES, WAREHOUSE, superuser_connection
from local.settings import REPOSITORY, ingest_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.settings import Layout
    from local.supervisor.platform import Platform

OBJECTS = "s3/data"
_UNSETTLED = "SELECT count(*) FROM ops.file_ingestion_log WHERE settled_at IS NULL"
_MARGIN_BYTES = 64 * 2**20


def default_folder() -> Path:
    """Return a new folder outside the platform's home, so that `make clean` does not delete it."""
    return REPOSITORY / "backups" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def dump_name(database: str) -> str:
    """Return the path of a database's dump within a backup."""
    return f"databases/{database}.dump"


def back_up(platform: Platform, target: Path, progress: Progress | None = None) -> Manifest:
    """Write a backup of a running platform. Pipelines may run meanwhile.

    Args:
        platform: at least its PostgreSQL must run.
        target: a folder that does not exist yet. It appears when the backup is complete.
        progress: receives each step.

    Raises:
        PlatformError: the backup cannot be made; the incomplete one is deleted.
    """
    layout = platform.settings.layout
    target = target.resolve()
    if target.exists():
        raise PlatformError(f"{target} exists already", "give another folder: TO=folder")
    if target.is_relative_to(layout.home):
        raise PlatformError(f"{target} lies in the platform's own folder", "`make clean` would delete it: TO=folder")
    with ExitStack() as held:
        held.enter_context(alone(layout))
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _check_room(platform, target.parent)
        draft = target.with_name(target.name + ".partial")
        shutil.rmtree(draft, ignore_errors=True)  # of a backup that was killed
        draft.mkdir(mode=0o700)
        held.callback(shutil.rmtree, draft, ignore_errors=True)
        manifest = _Backup(platform, draft, progress or Silence()).make()
        backup_manifest.write(draft, manifest)
        os.sync()  # everything is on the disk before the folder gets its final name
        draft.rename(target)
    return manifest


@contextmanager
def alone(layout: Layout) -> Iterator[None]:
    """Hold the lock that allows only one backup, restore or rotation of a platform at a time."""
    if not layout.secrets.exists():
        raise PlatformError(f"the platform was never started in {layout.home}", "start it with `make up`")
    with (layout.home / "upkeep.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PlatformError(
                f"another backup, restore or rotation of {layout.home} is running", "wait for it to end"
            ) from None
        yield


class _Backup:
    """The state of a backup while it is made."""

    def __init__(self, platform: Platform, folder: Path, progress: Progress) -> None:
        self._platform = platform
        self._settings, self._credentials = platform.settings, platform.credentials
        self._folder, self._progress = folder, progress
        self._files: dict[str, Stored] = {}
        self._rows: dict[str, dict[str, int]] = {}
        self._unsettled = 0

    def make(self) -> Manifest:
        layout, progress = self._settings.layout, self._progress
        with step(progress, "secrets", "copied"):
            self._note(backup_manifest.SECRETS, copy_file(layout.secrets, self._folder / backup_manifest.SECRETS))
        buckets = self._bucket_names()
        with ExitStack() as held:
            with self._platform.without_bucket():
                snapshots = {database.name: held.enter_context(self._snapshot(database.name)) for database in DATABASES}
                with step(progress, "objects", "copied"):
                    self._copy_objects()
            for name, snapshot in snapshots.items():
                with step(progress, f"database {name}", "dumped"):
                    self._dump(name, *snapshot)
        return self._manifest(buckets)

    def _bucket_names(self) -> list[str]:
        """Return the buckets for the manifest; empty when the S3 server does not run."""
        s3 = bucket.client(bucket.admin_config(self._settings, self._credentials))
        try:
            return sorted(entry["Name"] for entry in s3.list_buckets()["Buckets"])
        except (BotoCoreError, ClientError):
            return []

    def _copy_objects(self) -> None:
        source = self._settings.layout.s3 / "data"
        for name in names_below(source):
            target = f"{OBJECTS}/{name}"
            self._note(target, copy_file(source / name, self._folder / target))

    @contextmanager
    def _snapshot(self, database: str) -> Iterator[tuple[psycopg.Connection[postgres.Row], str]]:
        with self._connected(database) as connection:
            yield connection, dumps.open_snapshot(connection)

    def _dump(self, name: str, connection: psycopg.Connection[postgres.Row], snapshot: str) -> None:
        target = self._folder / dump_name(name)
        target.parent.mkdir(mode=0o700, exist_ok=True)
        dumps.dump(self._settings, self._credentials, name, snapshot, target)
        target.chmod(0o600)
        self._rows[name] = dumps.count_rows(connection)
        if name == WAREHOUSE and (row := connection.execute(_UNSETTLED).fetchone()):
            self._unsettled = int(str(row[0]))
        self._note(dump_name(name), checksum(target))

    def _note(self, name: str, sha256: str) -> None:
        self._files[name] = backup_manifest.stored(self._folder, name, sha256)

    @contextmanager
    def _connected(self, database: str) -> Iterator[psycopg.Connection[postgres.Row]]:
        with superuser_connection(self._settings, self._credentials, database) as connection:
            yield connection

    def _manifest(self, buckets: list[str]) -> Manifest:
        with self._connected("postgres") as connection:
            major = connection.info.server_version // 10000
        return Manifest(
            made_at=datetime.now(UTC),
            postgresql=major,
            versions=backup_manifest.versions(),
            landing_bucket=ingest_settings().landing_bucket,
            buckets=buckets,
            rows=self._rows,
            unsettled=self._unsettled,
            files=self._files,
        )


def _check_room(platform: Platform, folder: Path) -> None:
    """Check the free space. The estimate is an upper bound: a dump is smaller than its database, usually below half."""
    settings = platform.settings
    try:
        wanted = sum(dumps.size_of(settings, platform.credentials, database.name) for database in DATABASES)
    except psycopg.OperationalError as error:
        raise PlatformError(f"the databases do not answer: {error}".strip(), "start them with `make up`") from error
    objects = settings.layout.s3 / "data"
    wanted += sum((objects / name).stat().st_size for name in names_below(objects))
    free = shutil.disk_usage(folder).free
    if free < wanted + _MARGIN_BYTES:
        raise PlatformError(
            f"the backup may need {wanted // 2**20} MB, and {free // 2**20} MB are free at {folder}",
            "make room, or give a folder on another disk: TO=folder",
        )
