"""`filegate backup`: a copy of the stopped platform's home in one folder, complete or not at all.

PostgreSQL's data directory and the S3 server's files are copied while nothing runs, so they are in the state of one
moment. A task that was stopped is repeated after the next start, as after a crash of the machine. Checksums prove more
than row counts would: every table, index and setting of the stopped databases is the same, byte for byte.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import time
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from local.commands import backup_manifest
from local.commands.backup_manifest import Manifest
from local.commands.file_copy import copy_files
from local.console import Progress, Silence, step
from local.errors import PlatformError
from local.services import postgres
from local.settings import REPOSITORY
from local.supervisor.platform import Platform

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.settings import Layout

# Logs, temporary files, and what every start writes again. Everything else in the home is copied.
LEFT_OUT = frozenset(
    {
        "airflow", "contracts-cache", "dbt", "initdb.password", "lock", "logs", "mlflow_auth.ini", "postgres.draft",
        "redis", "report.html", "run", "spool", "upkeep.lock",
    }
)  # fmt: skip
_TASK_SECONDS = 60.0
_RESTART_SECONDS, _BYTES_A_SECOND = 60, 100 * 2**20  # of two cores that do nothing else


def default_folder() -> Path:
    """Return a new folder outside the platform's home, so that `filegate clean` does not delete it."""
    return REPOSITORY / "backups" / datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def seconds_stopped(platform: Platform) -> int:
    """Estimate for how many seconds a backup stops the platform; 0 if it does not run."""
    if not platform.running():
        return 0
    return _RESTART_SECONDS + sum(_content(platform.settings.layout)[1].values()) // _BYTES_A_SECOND


def back_up(platform: Platform, target: Path, progress: Progress | None = None) -> Manifest:
    """Stop the platform, copy its home, and start what ran before, also if the copy fails or is interrupted.

    Args:
        platform: running or not.
        target: a folder that does not exist yet. It appears when the backup is complete and verified.
        progress: receives each step.

    Raises:
        PlatformError: the backup cannot be made; the incomplete one is deleted.
    """
    layout, progress, target = platform.settings.layout, progress or Silence(), target.resolve()
    if target.exists():
        raise PlatformError(f"{target} exists already", "give another folder")
    if target.is_relative_to(layout.home):
        raise PlatformError(
            f"{target} lies in the platform's own folder", "`filegate clean` would delete it: give another"
        )
    with ExitStack() as held:
        held.enter_context(alone(layout))
        draft = target.with_name(target.name + ".partial")
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(draft, ignore_errors=True)  # of a backup that was killed
        reserve = platform.settings.platform_min_free_mb * 2**20  # without it the platform would not start again
        check_room(sum(_content(layout)[1].values()) + reserve, target.parent)
        held.callback(shutil.rmtree, draft, ignore_errors=True)
        manifest = _copy_stopped(platform, draft, progress)
        with step(progress, "checksums", "verified"):
            backup_manifest.write(draft, manifest)
            backup_manifest.read_verified(draft)
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


def check_room(wanted: int, folder: Path) -> None:
    """Refuse to copy more bytes than are free."""
    if (free := shutil.disk_usage(folder).free) < wanted:
        raise PlatformError(
            f"the copy may need {wanted // 2**20} MB, and {free // 2**20} MB are free at {folder}",
            "make room, or use another disk",
        )


def _copy_stopped(platform: Platform, draft: Path, progress: Progress) -> Manifest:
    # With the ports of the running instance, whose record is deleted when it stops.
    again, ran = Platform(platform.settings, progress), platform.running()
    layout = platform.settings.layout
    try:
        if ran:
            _wait_for_tasks(platform, progress)
        with again.stopped(), step(progress, "files", "copied"):
            folders, sizes = _content(layout)
            files = copy_files(layout.home, draft, folders, sizes)
            server = postgres.data_version(layout.postgres)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)  # a full disk would prevent the start
        raise
    finally:
        if ran:
            again.up(ran)
    return Manifest(format=3, made_at=datetime.now(UTC), server=server, folders=folders, files=files)


def _wait_for_tasks(platform: Platform, progress: Progress) -> None:
    """Wait until no task runs. A task that still runs at the end is stopped, and repeated after the start."""
    end = time.monotonic() + _TASK_SECONDS
    with step(progress, "running tasks", "awaited"):
        while (tasks := platform.running_tasks()) and time.monotonic() < end:
            time.sleep(0.5)
    if tasks:
        progress.note(f"{tasks} tasks still run after {_TASK_SECONDS:.0f} s: they are stopped and repeated later")


def _content(layout: Layout) -> tuple[list[str], dict[str, int]]:
    """Return the folders to copy, parents first, and the files with their bytes."""
    folders, files = list[str](), dict[str, int]()
    tops = sorted(path for path in layout.home.iterdir() if path.name not in LEFT_OUT)
    for path in (path for top in tops for path in (top, *sorted(top.rglob("*")))):
        try:
            found = path.lstat()
        except FileNotFoundError:  # before the stop, services delete files
            continue
        name = path.relative_to(layout.home).as_posix()
        if stat.S_ISLNK(found.st_mode):  # a data directory or tablespace on another disk would be missing
            raise PlatformError(f"{path} is a link, and links are not copied", "put its content into its place")
        if stat.S_ISDIR(found.st_mode):
            folders.append(name)
        elif stat.S_ISREG(found.st_mode):  # no sockets
            files[name] = found.st_size
    return folders, files
