"""How a service is, for `make status` and for the messages of a failed start."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from local.services import Service
    from local.supervision import ProgramState

_LOG_LINES = 8


@dataclass(frozen=True)
class ServiceStatus:
    """How a service is. `uptime` in seconds; `complaint` is empty when it is healthy."""

    name: str
    state: str
    pid: int | None
    uptime: float | None
    port: int | None
    address: str
    complaint: str

    @property
    def healthy(self) -> bool:
        """Whether it runs and answers as it should."""
        return self.pid is not None and not self.complaint


def status_of(service: Service, state: ProgramState | None) -> ServiceStatus:
    """How a service is now, by its supervisor's state and its own probe."""
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
    """The last lines of a log, however long it is; none where there is no log."""
    if not log.exists():
        return ()
    with log.open("rb") as file:
        file.seek(max(0, os.fstat(file.fileno()).st_size - 16_384))
        return tuple(file.read().decode(errors="replace").splitlines()[-_LOG_LINES:])
