"""The checks of a restore before it replaces the home."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local.commands import restore
from local.errors import PlatformError
from local.services.postgres import Database
from local.settings import temporary_settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_equal_counts_pass() -> None:
    restore._compare(Database("warehouse", owner="o"), {"raw.sales": 2}, {"raw.sales": 2})


@pytest.mark.parametrize(
    ("expected", "found", "message"),
    [
        pytest.param({"raw.sales": 2}, {"raw.sales": 1}, "raw.sales has 1 rows, the backup counted 2", id="fewer"),
        pytest.param({"raw.sales": 2}, {}, "raw.sales has None rows, the backup counted 2", id="no table"),
        pytest.param({}, {"raw.new": 0}, "raw.new has 0 rows, the backup counted None", id="a strange table"),
    ],
)
def test_a_difference_is_named(expected: dict[str, int], found: dict[str, int], message: str) -> None:
    with pytest.raises(PlatformError, match=message):
        restore._compare(Database("warehouse", owner="o"), expected, found)


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
