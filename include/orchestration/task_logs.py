"""Log files of old runs leave the disk.

What belongs here: Airflow's folders of logs. What does not: logs of services, which their supervisor turns over, and
logs that are kept elsewhere (remote logging), which are that store's to forget.
"""

from __future__ import annotations

import shutil
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import timedelta
    from pathlib import Path

# Of a run's tasks, and of a day's parsing.
_FOLDERS = ("dag_id=*/run_id=*", "dag_processor/[0-9]*-[0-9]*-[0-9]*")


def remove_log_files(base: Path, keep: timedelta) -> dict[str, int]:
    """Remove the folders in which nothing was written for that long.

    Args:
        base: Airflow's folder of logs.
        keep: how long.

    Returns:
        How many folders, and their size in MB.
    """
    before, gone, size = time.time() - keep.total_seconds(), 0, 0
    for folder in _folders(base):
        files = [stat for path in (folder, *folder.rglob("*")) if (stat := _stat(path))]
        if any(stat[0] >= before for stat in files):
            continue
        shutil.rmtree(folder, ignore_errors=True)
        if not folder.exists():
            gone, size = gone + 1, size + sum(stat[1] for stat in files)
    return {"folders": gone, "megabytes": round(size / 1024**2)}


def _folders(base: Path) -> Iterator[Path]:
    for pattern in _FOLDERS:
        yield from sorted(path for path in base.glob(pattern) if path.is_dir() and not path.is_symlink())


def _stat(path: Path) -> tuple[float, int] | None:
    """When it was written, and its size; nothing if it is gone meanwhile."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return None
    return found.st_mtime, found.st_size
