"""Delete the log files of old runs from disk.

What belongs here: Airflow's log folders. What does not: logs of services, which their supervisor rotates, and remote
logs, which the remote store expires.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

# Folders of the tasks of one run, and of the DAG parsing of one day.
_FOLDERS = ("dag_id=*/run_id=*", "dag_processor/[0-9]*-[0-9]*-[0-9]*")


def remove_log_files(base: Path, keep: timedelta) -> dict[str, int]:
    """Remove the log folders in which no file was written for the time `keep`.

    Args:
        base: Airflow's log folder.
        keep: retention period.

    Returns:
        Number of removed folders, and their size in MB.
    """
    before, removed, size = time.time() - keep.total_seconds(), 0, 0
    for folder in _folders(base):
        files = [stat for path in (folder, *folder.rglob("*")) if (stat := _stat(path))]
        if any(stat[0] >= before for stat in files):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            removed, size = removed + 1, size + sum(stat[1] for stat in files)
    return {"folders": removed, "megabytes": round(size / 1024**2)}


def _folders(base: Path) -> Iterator[Path]:
    for pattern in _FOLDERS:
        yield from sorted(path for path in base.glob(pattern) if path.is_dir() and not path.is_symlink())


def _stat(path: Path) -> tuple[float, int] | None:
    """Return modification time (seconds since the epoch) and size in bytes; None if the file was removed meanwhile."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_mtime, found.st_size
