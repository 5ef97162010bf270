"""The checks of a restore before it replaces the home."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from local.commands import backup_manifest, restore
from local.commands.backup_manifest import Manifest
from local.commands.file_copy import checksum, names_below
from local.errors import PlatformError
from local.services import postgres
from local.settings import temporary_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A complete backup for the installed PostgreSQL."""
    folder = tmp_path / "backup"
    (folder / "postgres").mkdir(parents=True)
    for name, text in {"secrets.env": "A=b", "postgres/PG_VERSION": "18", ".platform": ""}.items():
        (folder / name).write_text(text)
    files = {name: checksum(folder / name) for name in names_below(folder)}
    made = datetime(2026, 1, 1, tzinfo=UTC)
    server, folders = postgres.installed_version(), ["postgres"]
    backup_manifest.write(folder, Manifest(format=3, made_at=made, server=server, folders=folders, files=files))
    return folder


def test_restored_home_has_the_files_of_the_backup(tmp_path: Path, source: Path) -> None:
    settings = temporary_settings(tmp_path / "home")
    restore.restore(settings, source, force=False)
    assert names_below(settings.platform_home) == [".platform", "postgres/PG_VERSION", "secrets.env"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "home"]


def test_data_of_another_postgresql_is_refused(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "installed_version", lambda: "PostgreSQL 19 (x86_64)")
    with pytest.raises(PlatformError, match=r"is of PostgreSQL 18 .*, and here is PostgreSQL 19 .* with pg_dump"):
        restore.restore(temporary_settings(tmp_path / "home"), source, force=True)
    assert not (tmp_path / "home").exists()


def test_a_copy_that_differs_is_named_and_replaces_nothing(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = temporary_settings(tmp_path / "home")
    monkeypatch.setattr(restore, "copy_files", lambda *_: {"secrets.env": "another"})
    with pytest.raises(PlatformError, match=r"the copy of secrets\.env differs from the backup: check the disk"):
        restore.restore(settings, source, force=True)
    assert not settings.layout.secrets.exists()


def test_a_full_disk_is_reported_before_anything_is_stopped(
    tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    with pytest.raises(PlatformError, match=r"may need \d+ MB, and \d+ MB are free"):
        restore.restore(temporary_settings(tmp_path / "home"), source, force=True)
    assert not (tmp_path / "home").exists()


def test_a_backup_in_the_home_that_it_would_replace_is_refused(tmp_path: Path) -> None:
    settings = temporary_settings(tmp_path / "home")
    (tmp_path / "home" / "backup").mkdir(parents=True)
    settings.layout.marker.touch()
    (tmp_path / "link").symlink_to(tmp_path / "home" / "backup")
    with pytest.raises(PlatformError, match=r"is inside .*home, which is replaced: move the backup"):
        restore.restore(settings, tmp_path / "link", force=True)


def test_a_mount_point_is_refused_before_anything_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = temporary_settings(tmp_path / "home")
    monkeypatch.setattr("pathlib.Path.is_mount", lambda path: path == settings.platform_home)
    with pytest.raises(PlatformError, match=r"is a mount point .*set PLATFORM_HOME to a folder below it"):
        restore.restore(settings, tmp_path / "backup", force=True)
