"""Other users of the machine can read neither partners' files nor secrets in a platform's folder."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

import pytest

from include.stores.object_store import ObjectStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.integration

# The marker of a platform's home, and lock files.
HARMLESS = {".platform", "lock", "upkeep.lock"}


def open_to_others(folder: Path) -> Iterator[Path]:
    """The files below a folder that any user can read, if they can enter the folder itself."""
    for path in folder.iterdir():
        mode = path.lstat().st_mode
        if stat.S_ISDIR(mode) and mode & stat.S_IXOTH:
            yield from open_to_others(path)
        elif mode & stat.S_IROTH and not stat.S_ISLNK(mode):
            yield path


def test_other_users_cannot_read_data_or_secrets(platform: Platform) -> None:
    home = platform.settings.platform_home
    ObjectStore(platform.s3_config).put("landing", "unknown/private.csv", b"name\nAlice\n")
    try:
        assert list((home / "s3" / "data").glob("*.dat"))
        assert {path.name for path in open_to_others(home)} - HARMLESS == set()
    finally:
        ObjectStore(platform.s3_config).delete("landing", "unknown/private.csv")


def test_files_of_a_service_are_private_even_in_an_open_folder(platform: Platform) -> None:
    """If a user opens the folder, the files in it stay private."""
    ObjectStore(platform.s3_config).put("landing", "umask.csv", b"name\nAlice\n")
    try:
        # A .vif file has the version of a volume and no object; the server sets its mode.
        files = [path for path in platform.settings.layout.s3.rglob("*") if path.is_file() and path.suffix != ".vif"]
        assert files
        assert [path.name for path in files if stat.S_IMODE(path.stat().st_mode) & 0o077] == []
    finally:
        ObjectStore(platform.s3_config).delete("landing", "umask.csv")


def test_secrets_are_in_files_and_folders_of_the_owner_alone(platform: Platform) -> None:
    layout = platform.settings.layout
    scripts = sorted(layout.run.glob("*.sh"))
    assert scripts
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (layout.secrets, *scripts)}
    assert modes == dict.fromkeys(modes, 0o600)
    assert stat.S_IMODE(layout.run.stat().st_mode) == 0o700


def test_a_folder_of_an_earlier_version_is_closed_at_the_next_start(platform: Platform) -> None:
    folder = platform.settings.layout.s3
    folder.chmod(0o755)
    platform.up(("postgres", "s3"))
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
