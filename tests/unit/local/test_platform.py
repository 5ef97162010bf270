"""Checks of the platform before it starts a service."""

from __future__ import annotations

import fcntl
from typing import TYPE_CHECKING

import pytest

from local.errors import PlatformError
from local.services.service import Service
from local.settings import temporary_settings
from local.supervisor.platform import Platform
from local.supervisor.readiness import check_program
from local.supervisor.status import log_tail

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.unit


def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    platform = Platform(temporary_settings(tmp_path / "home", platform_min_free_mb=10**12))
    with pytest.raises(PlatformError, match=r"only \d+ MB are free .* set PLATFORM_HOME to another disk"):
        platform.up()


def test_a_folder_with_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").touch()
    platform = Platform(temporary_settings(tmp_path))
    with pytest.raises(PlatformError, match="contains other files"):
        platform.up()
    with pytest.raises(PlatformError, match="nothing was deleted"):
        platform.clean()
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_home_moved_by_a_killed_restore_is_not_created_again(tmp_path: Path) -> None:
    (tmp_path / "home.replaced").mkdir()
    platform = Platform(temporary_settings(tmp_path / "home"))
    with pytest.raises(PlatformError, match=r"a restore was killed .*filegate restore.* it is .*home\.replaced"):
        platform.up()
    assert not platform.settings.layout.secrets.exists()


def test_clean_leaves_nothing_of_a_killed_restore(tmp_path: Path) -> None:
    for name in ("home", "home.restoring", "home.replaced", "home-of-others"):
        (tmp_path / name).mkdir()
    (tmp_path / "home" / ".platform").touch()
    assert Platform(temporary_settings(tmp_path / "home")).clean()
    assert [path.name for path in tmp_path.iterdir()] == ["home-of-others"]


def test_what_an_older_version_has_started_can_be_stopped(tmp_path: Path) -> None:
    layout = temporary_settings(tmp_path).layout
    layout.secrets.write_text("SUPERVISOR_PASSWORD=old\n")
    assert Platform(temporary_settings(tmp_path)).down() == 0


def test_nothing_is_started_while_the_platform_is_held_stopped(tmp_path: Path) -> None:
    platform = Platform(temporary_settings(tmp_path / "home"))
    with platform.stopped():
        platform.down()
        with pytest.raises(PlatformError, match="another command"):
            Platform(platform.settings).down()
    Platform(platform.settings).down()


def test_an_unknown_service_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        PlatformError, match=r"no such service: oracle: choose from postgres, s3, kafka, ml-api, .*airflow"
    ):
        Platform(temporary_settings(tmp_path / "home")).up(["oracle"])


def test_a_missing_program_is_named(tmp_path: Path) -> None:
    service = Service(name="s3", command=("/no/such/weed",), directory=tmp_path, probe=lambda _since: None)
    with pytest.raises(PlatformError, match="the program of s3 is missing: /no/such/weed: run `make setup`"):
        check_program(service)


def test_two_commands_do_not_start_and_stop_at_once(tmp_path: Path) -> None:
    platform = Platform(temporary_settings(tmp_path / "home"))
    platform.down()
    (tmp_path / "home").mkdir()
    with (tmp_path / "home" / "lock").open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(PlatformError, match="another command"):
            platform.down()


def test_what_was_never_started_has_no_status_and_nothing_to_stop(tmp_path: Path) -> None:
    platform = Platform(temporary_settings(tmp_path / "home"))
    assert platform.status() == []
    assert platform.down() == 0
    assert platform.clean() is False
    assert not (tmp_path / "home").exists()


def test_the_end_of_a_long_log_is_shown(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert log_tail(log) == tuple(f"line {number}" for number in range(99_992, 100_000))
    assert log_tail(tmp_path / "none") == ()
