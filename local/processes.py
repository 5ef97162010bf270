"""Finds and ends every process of one platform, also those whose supervisor was killed.

No single sign is enough. The marker in the environment is overwritten by programs that set their process title
(PostgreSQL, Airflow's tasks), a process group is left by every task, children of a dead parent belong to init. So a
process is ours if it carries the marker, or belongs to the session that the supervisor opened, or is a PostgreSQL in
our data directory, or descends from one of these.
"""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from local.services import INSTANCE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.settings import Layout

_TERM_SECONDS = 10.0
_POSTGRES_SECONDS = 60.0
_KILL_SECONDS = 10.0
_ROUNDS = 5


@dataclass(frozen=True)
class Session:
    """The process session of a supervisor. `leader_started` (since the epoch) tells it from a later one of that id."""

    id: int
    leader_started: float

    def holds(self, process: psutil.Process) -> bool:
        """Whether the process belongs to it. A session's id is not given away while one member lives."""
        if os.getsid(process.pid) != self.id or process.create_time() < self.leader_started - 1:
            return False
        try:
            return abs(psutil.Process(self.id).create_time() - self.leader_started) < 1
        except psutil.NoSuchProcess:
            return True


def find(layout: Layout, session: Session | None) -> list[psutil.Process]:
    """Every living process of the platform in that folder, ourselves and our parents excepted."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = {process.pid: process for process in psutil.process_iter() if _is_ours(process, layout, session)}
    for process in list(found.values()):
        try:
            found.update({child.pid: child for child in process.children(recursive=True)})
        except psutil.Error:
            continue
    return [process for pid, process in found.items() if pid not in own and is_alive(process)]


def find_tasks(layout: Layout, session: Session | None) -> list[psutil.Process]:
    """Every process that runs an Airflow task, and not the executor's workers that watch over them, by process id."""
    found = []
    for process in find(layout, session):
        with suppress(psutil.Error):
            title = " ".join(process.cmdline())
            if "airflow worker -- " in title and "LocalExecutor" not in title:
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


def end_all(layout: Layout, session: Session | None) -> int:
    """End every process of the platform: asked first, killed after a bounded time.

    The supervisor goes first, or it would start the others again; PostgreSQL goes last, so that whoever writes to it
    is gone, and gets its fast shutdown.

    Returns:
        How many were there.
    """
    seen: set[int] = set()
    for _ in range(_ROUNDS):  # a dying process may still have started another
        if not (found := find(layout, session)):
            break
        seen.update(process.pid for process in found)
        _end(found, layout)
    return len(seen)


def is_alive(process: psutil.Process) -> bool:
    """Whether it runs. A zombie does not: it waits for a parent that may never look."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listener(port: int) -> str:
    """Who listens on that port, as far as we may know: `name (pid 1)`, or an empty text."""
    try:
        for connection in psutil.net_connections("tcp"):
            address = tuple(connection.laddr)
            listens = connection.status == psutil.CONN_LISTEN and len(address) > 1
            if listens and address[1] == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""


def _is_ours(process: psutil.Process, layout: Layout, session: Session | None) -> bool:
    try:
        if process.environ().get(INSTANCE_VARIABLE) == str(layout.home):
            return True
    except (psutil.Error, OSError):
        pass
    try:
        return bool(session and session.holds(process)) or _is_postgres_of(process, layout.postgres)
    except (psutil.Error, OSError):
        return False


def _is_postgres_of(process: psutil.Process, data: Path) -> bool:
    return process.name() == "postgres" and Path(process.cwd()) == data


def _end(found: list[psutil.Process], layout: Layout) -> None:
    supervisors = [process for process in found if _runs_module(process, "supervisor.supervisord")]
    databases = [process for process in found if _named(process, "postgres")]
    others = [process for process in found if process not in supervisors and process not in databases]
    _signal(supervisors, signal.SIGKILL)
    _signal(others, signal.SIGTERM)
    _wait(others, _TERM_SECONDS)
    _signal(others, signal.SIGKILL)
    _wait(others, _KILL_SECONDS)
    if postmaster := _postmaster(layout, databases):
        _signal([postmaster], signal.SIGINT)
    else:
        _signal(databases, signal.SIGTERM)
    _wait(databases, _POSTGRES_SECONDS)
    _signal(databases, signal.SIGKILL)
    _wait(databases, _KILL_SECONDS)


def _postmaster(layout: Layout, databases: list[psutil.Process]) -> psutil.Process | None:
    try:
        pid = int((layout.postgres / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return None
    return next((process for process in databases if process.pid == pid), None)


def _runs_module(process: psutil.Process, module: str) -> bool:
    try:
        return module in process.cmdline()
    except psutil.Error:
        return False


def _named(process: psutil.Process, name: str) -> bool:
    try:
        return process.name() == name
    except psutil.Error:
        return False


def _signal(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        try:
            if is_alive(process):
                process.send_signal(number)
        except psutil.Error:
            continue


def _wait(processes: list[psutil.Process], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and any(is_alive(process) for process in processes):
        time.sleep(0.05)
