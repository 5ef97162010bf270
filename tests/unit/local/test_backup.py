"""What a backup copies, how it stops and starts the platform, and what it refuses. Without a running platform."""

from __future__ import annotations

import shutil
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from local import __main__ as main
from local.commands import backup
from local.commands.backup import alone, back_up, seconds_stopped
from local.errors import PlatformError
from local.settings import temporary_settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from local.supervisor.platform import Platform

pytestmark = pytest.mark.unit


class FakePlatform:
    """Records what the backup does with a platform that runs."""

    def __init__(self, home: Path, *, running: tuple[str, ...] = ("postgres", "s3"), tasks: int = 0) -> None:
        self.settings = temporary_settings(home)
        self.calls: list[object] = []
        self._running, self._tasks = list(running), tasks

    def running(self) -> list[str]:
        return self._running

    def running_tasks(self) -> int:
        self._tasks -= 1
        return max(0, self._tasks)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.calls.append("stopped")
        yield

    def up(self, services: list[str]) -> None:
        self.calls.append(services)


@pytest.fixture
def platform(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePlatform:
    """A platform with a file in every folder of its home."""
    fake = FakePlatform(tmp_path / "home")
    for name in ("postgres/PG_VERSION", "s3/data/1.dat", "logs/a.log", "run/x", "airflow/logs/a", "spool/b", "dbt/m"):
        (tmp_path / "home" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "home" / name).write_text("18")
    (tmp_path / "home" / "postgres" / "pg_notify").mkdir()
    for name in (".platform", "secrets.env", "passwords.stale", "lock", "mlflow_auth.ini"):
        (tmp_path / "home" / name).touch()
    monkeypatch.setattr(backup, "Platform", lambda *_: fake)
    return fake


def made(platform: FakePlatform, target: Path) -> Any:
    return back_up(platform, target)  # type: ignore[arg-type]


def test_data_and_secrets_are_copied_and_logs_and_caches_are_not(platform: FakePlatform, tmp_path: Path) -> None:
    manifest = made(platform, tmp_path / "backup")
    copied = [".platform", "passwords.stale", "postgres/PG_VERSION", "s3/data/1.dat", "secrets.env"]
    assert sorted(manifest.files) == copied
    assert (tmp_path / "backup" / "postgres" / "pg_notify").is_dir()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "home"]
    assert platform.calls == ["stopped", ["postgres", "s3"]]


def test_a_platform_that_is_down_stays_down(platform: FakePlatform, tmp_path: Path) -> None:
    platform._running = []
    made(platform, tmp_path / "backup")
    assert platform.calls == ["stopped"]


@pytest.mark.parametrize("error", [PlatformError("the disk is full"), KeyboardInterrupt()], ids=["failed", "Ctrl-C"])
def test_what_ran_is_started_again_after_a_failure_and_nothing_is_left(
    platform: FakePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(_home: Path, draft: Path, *_: object) -> None:
        draft.mkdir()
        raise error

    monkeypatch.setattr(backup, "copy_files", fail)
    monkeypatch.setattr(platform, "up", lambda services: platform.calls.append((services, list(tmp_path.iterdir()))))
    with pytest.raises(type(error)):
        made(platform, tmp_path / "backup")
    assert platform.calls == ["stopped", (["postgres", "s3"], [tmp_path / "home"])]


def test_a_copy_that_differs_is_no_backup(
    platform: FakePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def damage(services: list[str]) -> None:
        (tmp_path / "backup.partial" / "s3" / "data" / "1.dat").write_text("17")

    monkeypatch.setattr(platform, "up", damage)
    with pytest.raises(PlatformError, match=r"1\.dat differs from its checksum"):
        made(platform, tmp_path / "backup")
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


@pytest.mark.parametrize(("tasks", "waited"), [(0, 0), (5, 2), (1000, 60)])
def test_running_tasks_get_a_minute(
    platform: FakePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tasks: int, waited: float
) -> None:
    now = [0.0]
    monkeypatch.setattr(backup.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(backup.time, "sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    platform._tasks = tasks
    made(platform, tmp_path / "backup")
    assert now == [waited]
    assert platform.calls == ["stopped", ["postgres", "s3"]]


@pytest.mark.parametrize("name", ["postgres", "postgres/pg_tblspc/16384"])
def test_links_are_refused_before_anything_is_stopped(platform: FakePlatform, tmp_path: Path, name: str) -> None:
    path = tmp_path / "home" / name
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(tmp_path)
    with pytest.raises(PlatformError, match=f"{path} is a link, and links are not copied: put its content"):
        made(platform, tmp_path / "backup")
    assert platform.calls == []


def test_full_disk_is_reported_before_anything_is_stopped(
    platform: FakePlatform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=2**20))
    with pytest.raises(PlatformError, match=r"may need \d+ MB, and 1 MB are free"):
        made(platform, tmp_path / "backup")
    assert platform.calls == []
    assert list(tmp_path.iterdir()) == [tmp_path / "home"]


def test_a_folder_that_is_there_is_not_written_to(platform: FakePlatform, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="exists already"):
        made(platform, tmp_path)


def test_a_backup_does_not_go_where_clean_would_delete_it(platform: FakePlatform) -> None:
    with pytest.raises(PlatformError, match="lies in the platform's own folder"):
        made(platform, platform.settings.layout.home / "backup")


def test_two_backups_at_once_are_refused(platform: FakePlatform, tmp_path: Path) -> None:
    with alone(platform.settings.layout), pytest.raises(PlatformError, match="another backup, restore or rotation"):
        made(platform, tmp_path / "backup")


def test_stop_is_estimated_from_the_size(platform: FakePlatform, monkeypatch: pytest.MonkeyPatch) -> None:
    assert seconds_stopped(platform) == 60  # type: ignore[arg-type]
    monkeypatch.setattr(backup, "_content", lambda _: ([], {"a": 3 * 2**30}))
    assert seconds_stopped(platform) == 90  # type: ignore[arg-type]
    platform._running = []
    assert seconds_stopped(platform) == 0  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("terminal", "given", "expected"),
    [
        pytest.param(False, ([], ""), (1, "is no terminal, so the command cannot ask: give --yes"), id="cron"),
        pytest.param(False, (["--yes"], ""), (0, "1 files, every one with its checksum"), id="cron with --yes"),
        pytest.param(True, ([], "n\n"), (1, "stops the platform for about 75 seconds"), id="refused"),
        pytest.param(True, ([], "y\n"), (0, "Stop it now? [y/N]"), id="agreed"),
    ],
)
def test_command_asks_before_it_stops_the_platform(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    terminal: bool,
    given: tuple[list[str], str],
    expected: tuple[int, str],
) -> None:
    (options, answer), (code, output) = given, expected
    made_in = list[Path]()

    def record(_platform: Platform, target: Path, _report: object) -> object:
        made_in.append(target)
        return SimpleNamespace(files={"a": ""})

    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(main, "seconds_stopped", lambda _: 75)
    monkeypatch.setattr(main, "back_up", record)
    monkeypatch.setattr(main, "_asks", lambda: terminal)
    done = CliRunner().invoke(main.app, ["backup", str(tmp_path / "to"), *options], input=answer)
    assert (done.exit_code, output in done.output) == (code, True), done.output
    assert made_in == ([tmp_path / "to"] if code == 0 else [])
