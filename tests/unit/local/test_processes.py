"""Finding and ending the processes of a platform by each criterion, and no others."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from local.services.service import INSTANCE_VARIABLE
from local.settings import Layout
from local.supervisor.processes import Session, end_all, find, is_alive, listener

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.unit

SLEEP = [sys.executable, "-c", "import time; print('ready', flush=True); time.sleep(600)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('ready', flush=True); time.sleep(600)",
]


@contextmanager
def started(
    command: list[str], *, marker: Path | None = None, own_session: bool = False
) -> Iterator[subprocess.Popen[str]]:
    environment = {"PATH": os.environ["PATH"]} | ({INSTANCE_VARIABLE: str(marker)} if marker else {})
    process = subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, text=True, start_new_session=own_session
    )
    assert process.stdout
    process.stdout.readline()
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def session_of(process: subprocess.Popen[str]) -> Session:
    return Session(id=process.pid, leader_started=psutil.Process(process.pid).create_time())


def pids(found: list[psutil.Process]) -> set[int]:
    return {process.pid for process in found}


def test_process_with_the_marker_is_found(tmp_path: Path) -> None:
    with started(SLEEP, marker=tmp_path) as process:
        assert pids(find(Layout(tmp_path), None)) == {process.pid}


def test_a_process_of_another_platform_is_not_found(tmp_path: Path) -> None:
    with started(SLEEP, marker=tmp_path / "other"):
        assert find(Layout(tmp_path), None) == []


def test_process_without_the_marker_is_found_by_its_session(tmp_path: Path) -> None:
    with started(SLEEP, own_session=True) as process:
        assert find(Layout(tmp_path), None) == []
        assert pids(find(Layout(tmp_path), session_of(process))) == {process.pid}


def test_later_session_of_the_same_id_is_ignored(tmp_path: Path) -> None:
    with started(SLEEP, own_session=True) as process:
        long_ago = Session(id=process.pid, leader_started=psutil.Process(process.pid).create_time() - 3600)
        assert find(Layout(tmp_path), long_ago) == []


def test_children_of_a_process_with_the_marker_are_found_in_other_sessions(tmp_path: Path) -> None:
    hide = "import subprocess, sys; p = subprocess.Popen(['sleep', '600'], env={}, start_new_session=True); "
    command = [sys.executable, "-c", hide + "print(p.pid, flush=True); p.wait()"]
    with started(command, marker=tmp_path) as process:
        child = psutil.Process(process.pid).children()[0]
        assert pids(find(Layout(tmp_path), None)) == {process.pid, child.pid}
        assert end_all(Layout(tmp_path), None) == 2
        assert not is_alive(child)


def test_the_current_process_is_not_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [
        sys.executable,
        "-c",
        "import sys, pathlib; from local.supervisor.processes import find; from local.settings import Layout;"
        "print(find(Layout(pathlib.Path(sys.argv[1])), None))",
        str(tmp_path),
    ]
    environment = os.environ | {INSTANCE_VARIABLE: str(tmp_path), "PYTHONPATH": str(Path(__file__).parents[3])}
    assert subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout == "[]\n"


def test_process_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("local.supervisor.processes._TERM_SECONDS", 0.2)
    with started(STUBBORN, marker=tmp_path) as process:
        assert end_all(Layout(tmp_path), None) == 1
        assert process.wait(timeout=60) == -9


def test_process_that_ends_on_sigterm_is_not_killed(tmp_path: Path) -> None:
    with started(SLEEP, marker=tmp_path) as process:
        end_all(Layout(tmp_path), None)
        assert process.wait(timeout=60) == -15


def test_a_zombie_counts_as_gone() -> None:
    process = subprocess.Popen(["sleep", "600"])
    seen = psutil.Process(process.pid)
    assert is_alive(seen)
    process.kill()
    deadline = time.monotonic() + 60
    while seen.status() != psutil.STATUS_ZOMBIE and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not is_alive(seen)
    process.wait()


def test_free_port_has_no_listener() -> None:
    assert listener(1) == ""
