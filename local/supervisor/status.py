"""The status of a service, for `filegate status` and for the messages of a failed start."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from local.services.service import Service
    from local.supervisor.supervision import ProgramState

_LOG_LINES = 8


@dataclass(frozen=True)
class ServiceStatus:
    """The status of a service. `uptime` is in seconds; `complaint` is empty when the service is healthy."""

    name: str
    state: str
    pid: int | None
    uptime: float | None
    port: int | None
    address: str
    complaint: str

    @property
    def healthy(self) -> bool:
        """Whether the service runs and its probe succeeds."""
        return self.pid is not None and not self.complaint


def status_of(service: Service, state: ProgramState | None) -> ServiceStatus:
    """Return the current status of a service, from its supervisor's state and its probe."""
    if state is None or not state.running:
        word = state.state if state else "STOPPED"
        return ServiceStatus(service.name, word, None, None, service.port, service.address, "not running")
    return ServiceStatus(
        name=service.name,
        state=state.state,
        pid=state.pid,
        uptime=max(0.0, time.time() - state.started),
        port=service.port,
        address=service.address,
        complaint=service.probe(0) or "",
    )


def log_tail(log: Path) -> tuple[str, ...]:
    """Return the last lines of a log; empty if there is no log. Only its last 16 KB are read."""
    if not log.exists():
        return ()
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
        return tuple(file.read().decode(errors="replace").splitlines()[-_LOG_LINES:])
