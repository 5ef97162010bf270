"""Finds and ends every process of one platform, including those of a killed supervisor.

No single criterion is enough. Programs that set their process title (PostgreSQL, Airflow's tasks) overwrite the marker
in the environment, every task leaves its process group, children of a dead parent belong to init. So a process belongs
to the platform if it has the marker, or is in the session of the supervisor, or is a PostgreSQL in the platform's data
directory, or descends from one of these.
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

from local.services.service import INSTANCE_VARIABLE

if TYPE_CHECKING:
    from collections.abc import Iterable

    from local.settings import Layout

_TERM_SECONDS = 10.0
_POSTGRES_SECONDS = 60.0
_KILL_SECONDS = 10.0
_ROUNDS = 5


@dataclass(frozen=True)
class Session:
    """The process session of a supervisor. `leader_started` (since the epoch) detects a reused session id."""

    id: int
    leader_started: float

    def holds(self, process: psutil.Process) -> bool:
        """Whether the process belongs to the session. An id is not reused while the session has a member."""
        if os.getsid(process.pid) != self.id or process.create_time() < self.leader_started - 1:
            return False
        try:
            return abs(psutil.Process(self.id).create_time() - self.leader_started) < 1
        except psutil.NoSuchProcess:
            return True


def find(layout: Layout, session: Session | None) -> list[psutil.Process]:
    """Return every living process of the platform in that folder, except this process and its parents."""
    own = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    found = {
        process.pid: process for process in psutil.process_iter() if _belongs_to_platform(process, layout, session)
    }
    for process in list(found.values()):
        try:
            found.update({child.pid: child for child in process.children(recursive=True)})
        except psutil.Error:
            continue
    return [process for pid, process in found.items() if pid not in own and is_alive(process)]


def find_tasks(layout: Layout, session: Session | None) -> list[psutil.Process]:
    """Return every process that runs an Airflow task, without the executor's workers, ordered by process id."""
    found = []
    for process in find(layout, session):
        with suppress(psutil.Error):
            title = " ".join(process.cmdline())
            if "airflow worker -- " in title and "LocalExecutor" not in title:
                found.append(process)
    return sorted(found, key=lambda process: process.pid)


def end_all(layout: Layout, session: Session | None) -> int:
    """End every process of the platform: first with SIGTERM, after a timeout with SIGKILL.

    The supervisor is ended first, since it would restart the others. PostgreSQL is ended last with a fast shutdown,
    after all of its clients.

    Returns:
        The number of processes found.
    """
    seen: set[int] = set()
    for _ in range(_ROUNDS):  # a dying process may still have started another
        if not (found := find(layout, session)):
            break
        seen.update(process.pid for process in found)
        _end(found, layout)
    return len(seen)


def is_alive(process: psutil.Process) -> bool:
    """Whether a process runs. A zombie counts as ended: its parent may never reap it."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listener(port: int) -> str:
    """Return the process that listens on a port as `name (pid 1)`, or an empty text if it is not visible."""
    try:
        for connection in psutil.net_connections("tcp"):
            address = tuple(connection.laddr)
            listens = connection.status == psutil.CONN_LISTEN and len(address) > 1
            if listens and address[1] == port and connection.pid:
                return f"{psutil.Process(connection.pid).name()} (pid {connection.pid})"
    except psutil.Error:
        pass
    return ""


def _belongs_to_platform(process: psutil.Process, layout: Layout, session: Session | None) -> bool:
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
