"""Steps of the one-shot container `airflow-init`: password file, Airflow's database, the warehouse's migrations.

It runs before the other Airflow containers and is the only one with the warehouse owner's password.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from include.settings import store_settings
from include.stores.migrations import upgrade
from local.errors import PlatformError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MIGRATION_SECONDS = 600


def initialise(environment: Mapping[str, str]) -> None:
    """Run all steps. Idempotent: it runs at every start.

    Args:
        environment: AIRFLOW_ADMIN_USER, AIRFLOW_ADMIN_PASSWORD, and Airflow's own variables.

    Raises:
        PlatformError: a password is missing, or Airflow's migration failed.
    """
    write_password_file(
        Path(_needed(environment, "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE")),
        _needed(environment, "AIRFLOW_ADMIN_USER"),
        _needed(environment, "AIRFLOW_ADMIN_PASSWORD"),
    )
    _needed(environment, "WAREHOUSE_OWNER_PASSWORD")
    upgrade(store_settings().warehouse("owner"))
    _migrate_airflow()


def write_password_file(path: Path, user: str, password: str) -> None:
    """Write the password file, readable by its owner only. Otherwise Airflow makes a password and logs it."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent)  # mode 600
    with os.fdopen(descriptor, "w") as file:
        file.write(json.dumps({user: password}) + "\n")
    Path(draft).replace(path)


def _needed(environment: Mapping[str, str], name: str) -> str:
    if not (value := environment.get(name)):
        raise PlatformError(f"{name} is missing", "set it in .env; `filegate dev env-file` writes a complete one")
    return value


def _migrate_airflow() -> None:
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command, stdin=subprocess.DEVNULL, timeout=_MIGRATION_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise PlatformError(
            f"Airflow's database migration did not end within {_MIGRATION_SECONDS} seconds", "look at PostgreSQL's log"
        ) from None
    if done.returncode:
        raise PlatformError("Airflow's database migration failed", "see its output above")
