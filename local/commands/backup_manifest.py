"""The manifest of a backup, and verifying a folder against it."""

from __future__ import annotations

import os
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from local.commands.file_copy import checksum, names_below
from local.errors import PlatformError

if TYPE_CHECKING:
    from pathlib import Path

NAME, SECRETS = "manifest.json", "secrets.env"
# Earlier formats hold dumps of the databases. This commit is the last one that restores them.
_EARLIER, _LAST_WITH_DUMPS = (1, 2), "7a941a2"


class Manifest(BaseModel):
    """The manifest of one backup. Paths are relative to its folder, which is laid out as the platform's home."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[3]
    made_at: datetime
    server: str = Field(description="PostgreSQL's major version and the processor, which its data depends on")
    folders: list[str] = Field(
        description="parents first; also the empty ones, without which PostgreSQL does not start"
    )
    files: dict[str, str] = Field(description="the SHA-256 of each file")


def write(folder: Path, manifest: Manifest) -> None:
    """Write the manifest into the folder."""
    with os.fdopen(os.open(folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(manifest.model_dump_json(indent=1) + "\n")


def read_verified(folder: Path) -> Manifest:
    """Read the manifest, and verify that the folder holds exactly its files with their checksums.

    Raises:
        PlatformError: the folder is no backup, of an earlier version, or damaged; the message names the first bad file.
    """
    try:
        manifest = Manifest.model_validate_json((folder / NAME).read_bytes())
    except FileNotFoundError:
        raise PlatformError(f"{folder} is no backup: it has no {NAME}", "give a folder of `filegate backup`") from None
    except ValidationError as error:
        if any(one["loc"] == ("format",) and one["input"] in _EARLIER for one in error.errors()):
            raise PlatformError(
                f"{folder} was made by an earlier version, with dumps of the databases",
                f"restore it with that version (git checkout {_LAST_WITH_DUMPS}); this version starts what it restored",
            ) from error
        raise _damaged(f"{NAME} cannot be read ({error.error_count()} faults)") from error
    there = set(names_below(folder)) - {NAME}
    if SECRETS in manifest.files and SECRETS not in there:
        raise PlatformError(f"{folder} lacks {SECRETS}", "copy the file back if it is stored elsewhere")
    if missing := sorted(set(manifest.files) - there):
        raise _damaged(f"{missing[0]} is missing")
    if strange := sorted(there - set(manifest.files)):
        raise _damaged(f"{strange[0]} is not in the manifest")
    for name, expected in manifest.files.items():
        if checksum(folder / name) != expected:
            raise _damaged(f"{name} differs from its checksum in the manifest")
    return manifest


def _damaged(what: str) -> PlatformError:
    return PlatformError(f"the backup is damaged: {what}", "take another one; nothing was restored")
