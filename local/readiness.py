"""Waiting until services that were started also work: as long as they make progress, and no longer.

A slow machine is no failure. A service fails if it ends, if it neither writes to its log nor uses the processor for
a minute, or if it is not ready within PLATFORM_START_SECONDS.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from local.errors import PlatformError
from local.status import log_tail

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from local.console import Progress
    from local.services import Service
    from local.supervision import ProgramState, Supervisor

_MAX_STARTS = 2  # one that did not help once more is not tried for ever while a user waits
_STALLED_SECONDS = 60.0
_LOOK_SECONDS = 0.1


class NotReadyError(PlatformError):
    """A service runs and is not ready yet: a later call may go on waiting for it."""


@dataclass
class _Waiting:
    """What was seen of a service so far. `sign` changes with its log and its use of the processor."""

    service: Service
    starts: set[float] = field(default_factory=set)
    sign: tuple[int, float] = (0, 0.0)
    changed: float = field(default_factory=time.monotonic)

    def stalled_seconds(self, state: ProgramState, log: Path) -> float:
        """How long neither the log nor the processor time of the service's processes has grown, in seconds."""
        sign = (log.stat().st_size if log.exists() else 0, _processor_seconds(state.pid))
        if sign != self.sign:
            self.sign, self.changed = sign, time.monotonic()
        return time.monotonic() - self.changed


def start_and_wait(services: Sequence[Service], supervisor: Supervisor, progress: Progress, limit: int) -> None:
    """Start these services at once and wait until the probe of each is content.

    Args:
        services: those to start; one that runs already is waited for all the same.
        supervisor: starts them and knows their state.
        progress: is shown each service as it becomes ready.
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
        time.sleep(_LOOK_SECONDS)


def _check(waiting: _Waiting, state: ProgramState, log: Path, complaint: str, seconds_left: float) -> None:
    name = waiting.service.name
    waiting.starts.add(state.started)
    if state.state == "FATAL" or len(waiting.starts) > _MAX_STARTS:
        raise PlatformError(f"{name} ends right after its start", f"look into {log}", log_tail(log))
    if seconds_left < 0:
        raise NotReadyError(
            f"{name} is not ready within PLATFORM_START_SECONDS ({complaint})",
            f"run `make up` again to go on waiting, or set PLATFORM_START_SECONDS higher; its log: {log}",
            log_tail(log),
        )
    if (stalled := waiting.stalled_seconds(state, log)) > _STALLED_SECONDS:
        raise NotReadyError(
            f"{name} has done nothing for {stalled:.0f} seconds and is not ready ({complaint})",
            f"look into {log}, then run `make up` again to go on, or `make down` to stop",
            log_tail(log),
        )


def _processor_seconds(pid: int | None) -> float:
    """Processor time of a process and all below it, in seconds; 0 where it cannot be seen."""
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
