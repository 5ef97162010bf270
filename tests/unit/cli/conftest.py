"""`filegate` in this process, with an environment of its own and no platform."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

import pytest

from include import settings
from include.cli.app import main
from local import settings as local_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Ended(NamedTuple):
    """How a command ended."""

    code: object
    out: str
    err: str


@pytest.fixture
def _environment() -> Iterator[None]:
    """Restores the environment after `monkeypatch` has: commands add to it."""
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def filegate(
    _environment: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Ended]]:
    """Run the command as its entry does, without a `.env`; `.env` of the test's folder is read if there is one."""
    caches = (settings.ingest_settings, settings.source_settings, settings.store_settings, settings.stream_settings)
    monkeypatch.setattr(local_settings, "ENV_FILE", tmp_path / ".env")
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        for cache in caches:
            cache.cache_clear()
        monkeypatch.setattr(sys, "argv", ["filegate", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        return Ended(end.value.code, *capsys.readouterr())

    yield run
    for cache in caches:
        cache.cache_clear()
