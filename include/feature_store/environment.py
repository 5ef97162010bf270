"""Feast's virtualenv: where it is, whether it fits the lock file, and how it is made.

What belongs here: files and processes of the environment. What does not: what runs in it (`feast_process`).
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from include.errors import CommandError
from include.settings import feast_settings

if TYPE_CHECKING:
    from collections.abc import Callable

_ROOT = Path(__file__).parents[2]
LOCK = _ROOT / "requirements-feast.txt"
SETUP = "filegate feast setup"
_STAMP = ".requirements"


def folder() -> Path:
    """The virtualenv."""
    return _home() / "venv"


def python() -> Path:
    """Its Python, whether it exists or not."""
    return folder() / "bin" / "python"


def repository() -> Path:
    """The folder of the generated Feast repository."""
    return _home() / "repository"


def complaint() -> str | None:
    """Why Feast cannot be used, with the remedy; None if it can."""
    if not python().exists():
        return f"Feast is not installed yet: run `{SETUP}`. It needs about 600 MB in {_home()}."
    stamp = folder() / _STAMP
    if not stamp.exists() or stamp.read_text() != _digest():
        return f"Feast's virtualenv {folder()} does not fit {LOCK.name}: run `{SETUP}`."
    return None


def make(note: Callable[[str], None]) -> None:
    """Make the virtualenv with the locked versions, or bring it up to date. What is there already is kept.

    Args:
        note: gets a line before each step; pip or uv print their progress themselves.

    Raises:
        CommandError: a step failed, and the next call begins again; or there is no lock file.
    """
    if not LOCK.exists():
        raise CommandError(f"there is no {LOCK}", "run the command in a checkout; the images do not have this file")
    if complaint() is None:
        note(f"{folder()} fits {LOCK.name}")
        return
    stamp = folder() / _STAMP
    stamp.unlink(missing_ok=True)
    folder().parent.mkdir(parents=True, exist_ok=True)
    uv = _uv()
    if not python().exists():
        note(f"creating {folder()}")
        shutil.rmtree(folder(), ignore_errors=True)
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder())] if uv else _venv())
    note(f"installing {LOCK.name}: about 600 MB")
    install = [uv, "pip", "sync", "--compile-bytecode", "--python", str(python()), str(LOCK)] if uv else _pip()
    _run(install)
    stamp.write_text(_digest())


def _home() -> Path:
    return _ROOT / feast_settings().dir


def _uv() -> str:
    """The path of uv beside this Python or on the PATH; empty if there is none."""
    beside = Path(sys.executable).with_name("uv")
    return str(beside) if beside.exists() else shutil.which("uv") or ""


def _venv() -> list[str]:
    return [sys.executable, "-m", "venv", str(folder())]


def _pip() -> list[str]:
    return [str(python()), "-m", "pip", "install", "--no-deps", "--requirement", str(LOCK)]


def _run(command: list[str]) -> None:
    # PYTHONPATH would show pip the packages of this environment; VIRTUAL_ENV names it to uv.
    environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    done = subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, check=False)  # noqa: S603 - pip or uv
    if done.returncode:
        raise CommandError(
            f"`{' '.join(command[:3])} …` failed with exit code {done.returncode}",
            f"its output is above; a package index must be reachable. Then run `{SETUP}` again",
        )


def _digest() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()
