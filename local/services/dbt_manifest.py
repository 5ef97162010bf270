"""Generates dbt's manifest, from which Airflow makes a task for each model, before Airflow parses its DAGs.

`python -m local.services.dbt_manifest` writes it to the path in DBT_MANIFEST, or to dbt/target/. It needs no warehouse.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from include.settings import DBT_PROJECT, dbt_manifest
from local.errors import PlatformError
from local.settings import REPOSITORY

_OWN_FOLDERS = {"target", "logs", "dbt_packages"}
_SECONDS = 120


def prepare(target: Path) -> bool:
    """Generate the manifest, if there is none or the project has changed since.

    Args:
        target: the file. It is replaced atomically.

    Returns:
        Whether it was generated.

    Raises:
        PlatformError: dbt cannot parse the project; the message contains dbt's output.
    """
    changed_at = last_change(DBT_PROJECT)
    if target.is_file() and target.stat().st_mtime_ns >= changed_at:
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="parse-") as folder:
        made = _parse(Path(folder))
        # Not the time of the parse: a change that is saved during the parse must be newer than the manifest.
        os.utime(made, ns=(changed_at, changed_at))
        made.replace(target)
    return True


def last_change(project: Path) -> int:
    """Return the latest modification time in the project, in nanoseconds. Deleting a file changes its folder's.

    Args:
        project: the project's folder.
    """
    versions = REPOSITORY / "requirements.txt"  # the manifest depends on the version of dbt
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
        "--project-dir", str(DBT_PROJECT), "--profiles-dir", str(DBT_PROJECT),
        "--target-path", str(folder), "--log-path", str(folder / "logs"),
    ]  # fmt: skip
    try:
        done = subprocess.run(  # noqa: S603 - dbt of this virtualenv, with constant paths
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PlatformError(f"the dbt project could not be parsed: {error}", "look into dbt/") from error
    if done.returncode:
        output = done.stdout.strip()[-1500:] or done.stderr.strip()[-1500:]
        raise PlatformError(f"dbt cannot parse the project:\n{output}", "correct the file that dbt names")
    return folder / "manifest.json"


if __name__ == "__main__":
    try:
        prepare(dbt_manifest())
    except PlatformError as error:
        sys.exit(f"error: {error}")
