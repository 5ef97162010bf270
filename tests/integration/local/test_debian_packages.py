"""Programs of Debian, downloaded from the machine's package mirror."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from local.services import debian

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(not shutil.which("apt-get"), reason="needs apt-get: the machine is no Debian"),
]

_UNMET = "Package: broken\nStatus: install ok installed\nArchitecture: all\nVersion: 1\nDepends: is-not-there\n"


def test_program_is_fetched_while_packages_of_the_machine_are_broken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    status = tmp_path / "status"
    status.write_text(f"{debian._STATUS.read_text(errors='replace')}\n{_UNMET}", encoding="utf-8")
    monkeypatch.setattr(debian, "_STATUS", status)
    monkeypatch.setattr(debian, "_UNPACKED", tmp_path / "debian")

    found = debian.program("hello", "hello")

    done = subprocess.run(
        [found.path], env={**os.environ, **found.environment}, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Hello, world!\n"


def test_package_that_is_installed_is_not_fetched_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(debian, "_UNPACKED", tmp_path / "debian")

    debian.program("hello", "hello")

    assert "libc6" in debian._installed()
    assert not list((tmp_path / "debian" / "hello").rglob("libc.so*"))
