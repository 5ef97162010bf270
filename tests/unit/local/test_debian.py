"""Programs of Debian: found on the PATH first, then in an unpacked package, else an error with the remedy."""

import os
import subprocess
from pathlib import Path

import pytest

from local.errors import PlatformError
from local.services import debian

pytestmark = pytest.mark.unit


def fake(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\n{text}\n", encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose PATH has only the programs that the test puts into bin/."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(debian, "_UNPACKED", tmp_path / "debian")
    return tmp_path / "debian"


def test_program_of_the_machine_comes_first(unpacked: Path, tmp_path: Path) -> None:
    own = fake(tmp_path / "bin", "redis-server", "exit 0")

    assert debian.program("redis-server", "redis-server") == debian.Program(own)
    assert not unpacked.exists()


def test_machine_without_apt_gets_the_package_to_install(unpacked: Path) -> None:
    with pytest.raises(PlatformError, match="redis-server is not installed") as caught:
        debian.program("redis-server", "redis-server")

    assert "Debian: redis-server" in caught.value.remedy


def test_failed_download_leaves_no_complete_package(unpacked: Path, tmp_path: Path) -> None:
    fake(tmp_path / "bin", "dpkg-deb", "exit 0")
    fake(tmp_path / "bin", "apt-get", "echo 'E: no such mirror' >&2; exit 100")

    with pytest.raises(PlatformError, match="no such mirror"):
        debian.program("redis-server", "redis-server")

    assert not (unpacked / "redis-server" / ".complete").exists()


def test_unpacked_program_runs_and_is_not_fetched_again(unpacked: Path, tmp_path: Path) -> None:
    own = unpacked / "redis-server"
    libraries = [own / "lib" / "x86_64-linux-gnu", own / "usr" / "lib" / "x86_64-linux-gnu"]
    for folder in libraries:
        fake(folder, "libone.so.1", "")
    fake(unpacked / "redis-server" / "usr" / "bin", "redis-server", 'echo "$LD_LIBRARY_PATH"')
    (unpacked / "redis-server" / ".complete").touch()
    fake(tmp_path / "bin", "dpkg-deb", "exit 1")
    fake(tmp_path / "bin", "apt-get", "exit 1")

    found = debian.program("redis-server", "redis-server")

    done = subprocess.run(
        [found.path], env={**os.environ, **found.environment}, capture_output=True, text=True, check=True, timeout=10
    )
    assert done.stdout.strip().split(":") == list(map(str, libraries))
