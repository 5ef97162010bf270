"""Checks what a service needs before its start, and waits until started services are ready, while they make progress.

Needed are its program, its port and free disk space. Slowness alone is no failure. A service fails if it ends, if it
neither writes to its log nor uses the processor for a minute, or if it is not ready within PLATFORM_START_SECONDS.
"""

from __future__ import annotations

import shutil
import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from local.errors import PlatformError
from local.supervisor import processes
from local.supervisor.status import log_tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from local.console import Progress
    from local.services.service import Service
    from local.supervisor.supervision import ProgramState, Supervisor

_MAX_STARTS = 2  # the supervisor's first restart may help; after the second the command fails
_STALLED_SECONDS = 60.0
_POLL_SECONDS = 0.1


class NotReadyError(PlatformError):
    """A service runs and is not ready yet: a later call may continue to wait for it."""


@dataclass
class _Waiting:
    """The observations of a service. `progress` is the size of its log in bytes and its processor time in seconds."""

    service: Service
    starts: set[float] = field(default_factory=set)
    progress: tuple[int, float] = (0, 0.0)
    changed: float = field(default_factory=time.monotonic)

    def stalled_seconds(self, state: ProgramState, log: Path) -> float:
        """Return the seconds in which neither the log nor the processor time of the service has grown."""
        progress = (log.stat().st_size if log.exists() else 0, _processor_seconds(state.pid))
        if progress != self.progress:
            self.progress, self.changed = progress, time.monotonic()
        return time.monotonic() - self.changed


def check_program(service: Service) -> None:
    """Check that the program of a service is installed.

    Raises:
        PlatformError: it is missing.
    """
    if not shutil.which(service.command[0]):
        raise PlatformError(f"the program of {service.name} is missing: {service.command[0]}", "run `make setup`")


def check_port(service: Service) -> None:
    """Check that no other process listens on a port of a service.

    Raises:
        PlatformError: a port is taken; the message names the process if it is visible to this user.
    """
    ports = dict.fromkeys(service.internal_ports, service.internal_ports_variable)
    if service.port is not None:
        ports[service.port] = service.port_variable
    for port, variable in ports.items():
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                listener = processes.listener(port)
                cause = f" by {listener}" if listener else f" ({error.strerror})"
                raise PlatformError(
                    f"port {port} for {service.name} is taken{cause}",
                    f"stop that process, or set {variable} to another port, in the environment or in .env",
                ) from error


def check_disk(home: Path, least_mb: int) -> None:
    """Check that the disk has enough free space.

    Raises:
        PlatformError: fewer than `least_mb` MB are free.
    """
    free = shutil.disk_usage(home).free // 2**20
    if free < least_mb:
        raise PlatformError(
            f"only {free} MB are free at {home}, {least_mb} are needed",
            "free disk space, or set PLATFORM_HOME to another disk or PLATFORM_MIN_FREE_MB lower",
        )


def start_and_wait(services: Sequence[Service], supervisor: Supervisor, progress: Progress, limit: int) -> None:
    """Start services at the same time and wait until the probe of each succeeds.

    Args:
        services: the services to start; one that runs already is only waited for.
        supervisor: starts them and reports their state.
        progress: receives each service when it becomes ready.
        limit: PLATFORM_START_SECONDS, in seconds.

    Raises:
        PlatformError: a service ended right after its start.
        NotReadyError: a service runs, and makes no progress or exceeds the limit.
    """
    begun = time.time()
    for service in services:
        progress.begin(service.name)
        supervisor.start_program(service.name)
    pending = [_Waiting(service) for service in services]
    while pending:
        states = supervisor.states()
        for waiting in list(pending):
            service, state = waiting.service, states[waiting.service.name]
            complaint = service.probe(begun) if state.running else state.explanation or state.state.lower()
            if complaint is None:
                pending.remove(waiting)
                progress.end(service.name, "ready")
            else:
                _check(waiting, state, supervisor.log(service.name), complaint, limit - (time.time() - begun))
        time.sleep(_POLL_SECONDS)


def _check(waiting: _Waiting, state: ProgramState, log: Path, complaint: str, seconds_left: float) -> None:
    name = waiting.service.name
    waiting.starts.add(state.started)
    if state.state == "FATAL" or len(waiting.starts) > _MAX_STARTS:
        raise PlatformError(f"{name} ends right after its start", f"look into {log}", log_tail(log))
    if seconds_left < 0:
        raise NotReadyError(
            f"{name} is not ready within PLATFORM_START_SECONDS ({complaint})",
            f"run `make up` again to continue waiting, or set PLATFORM_START_SECONDS higher; its log: {log}",
            log_tail(log),
        )
    if (stalled := waiting.stalled_seconds(state, log)) > _STALLED_SECONDS:
        raise NotReadyError(
            f"{name} has done nothing for {stalled:.0f} seconds and is not ready ({complaint})",
            f"look into {log}, then run `make up` again to continue, or `make down` to stop",
            log_tail(log),
        )


def _processor_seconds(pid: int | None) -> float:
    """Return the processor time of a process and its descendants in seconds; 0 if it is not visible."""
    try:
        process = psutil.Process(pid) if pid else None
        family = [process, *process.children(recursive=True)] if process else []
    except psutil.Error:
        return 0.0
    total = 0.0
    for member in family:
        try:
            total += sum(member.cpu_times()[:4])
        except psutil.Error:
            continue
    return total
