"""dbt's manifest, from which Airflow makes a task for each model: made here, before Airflow reads its DAGs.

`python -m local.dbt_manifest` makes it where DBT_MANIFEST says, or in dbt/target/. It needs no warehouse.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from local.errors import PlatformError
from local.settings import REPOSITORY

PROJECT = REPOSITORY / "dbt"

_OWN_FOLDERS = {"target", "logs", "dbt_packages"}
_SECONDS = 120


def default_target() -> Path:
    """Where DBT_MANIFEST says, from the checkout if it is relative; else in dbt's own folder for what it makes."""
    return REPOSITORY / (os.environ.get("DBT_MANIFEST") or PROJECT / "target" / "manifest.json")


def prepare(target: Path) -> bool:
    """Make the manifest, if there is none or the project has changed since.

    Args:
        target: the file. It appears whole or not at all.

    Returns:
        Whether it was made.

    Raises:
        PlatformError: the project has a mistake; dbt's words say which.
    """
    changed_at = last_change(PROJECT)
    if target.is_file() and target.stat().st_mtime_ns >= changed_at:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="parse-") as folder:
        made = _parse(Path(folder))
        # Not the time of the parse: a change that was saved meanwhile must be newer.
        os.utime(made, ns=(changed_at, changed_at))
        made.replace(target)
    return True


def last_change(project: Path) -> int:
    """When something in the project changed last, in nanoseconds; a folder changes when a file goes.

    Args:
        project: the project's folder.
    """
    versions = REPOSITORY / "requirements.txt"  # a manifest is of the dbt that made it
    latest = max(path.stat().st_mtime_ns for path in (project / "dbt_project.yml", versions))
    for folder, names, files in os.walk(project):
        if Path(folder) == project:
            names[:] = [name for name in names if name not in _OWN_FOLDERS]
        for name in (*names, *files):
            latest = max(latest, Path(folder, name).stat().st_mtime_ns)
    return latest


def _parse(folder: Path) -> Path:
    command = [
        str(Path(sys.executable).with_name("dbt")), "--no-use-colors", "--no-send-anonymous-usage-stats", "parse",
        "--project-dir", str(PROJECT), "--profiles-dir", str(PROJECT),
        "--target-path", str(folder), "--log-path", str(folder / "logs"),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - dbt of this virtualenv, with paths of our own
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlatformError(f"the dbt project could not be parsed: {error}", "look into dbt/") from error
    if done.returncode:
        said = done.stdout.strip()[-1500:] or done.stderr.strip()[-1500:]
        raise PlatformError(f"the dbt project has a mistake:\n{said}", "mend the file that dbt names")
    return folder / "manifest.json"


if __name__ == "__main__":
    try:
        prepare(default_target())
    except PlatformError as error:
        sys.exit(f"error: {error}")
