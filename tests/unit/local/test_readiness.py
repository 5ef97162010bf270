"""Waiting for services as long as they make progress."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from local.console import Silence
from local.errors import PlatformError
from local.services.service import Service
from local.supervisor import readiness
from local.supervisor.readiness import NotReadyError, start_and_wait
from local.supervisor.supervision import ProgramState

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.unit

IDLE = "import time; time.sleep(60)"
BUSY = "while True: pass"
WRITING = "import time\nwhile True: print('at work', flush=True); time.sleep(.05)"


@dataclass
class OneProcess:
    """A replacement for the supervisor: runs one program, reports its state, and writes its log."""

    code: str
    folder: Path
    process: subprocess.Popen[bytes] | None = None
    started: list[float] = field(default_factory=list)

    def start_program(self, name: str) -> None:
        if self.process is None:
            with self.log(name).open("wb") as log:
                self.process = subprocess.Popen([sys.executable, "-c", self.code], stdout=log)
            self.started.append(time.time())

    def states(self) -> dict[str, ProgramState]:
        running = self.process.poll() is None
        return {"one": ProgramState("RUNNING" if running else "FATAL", self.process.pid, self.started[-1], "")}

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@pytest.fixture
def supervisor(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[OneProcess]:
    monkeypatch.setattr(readiness, "_STALLED_SECONDS", 1.0)
    found = OneProcess(request.param, tmp_path)
    yield found
    if found.process:
        found.process.kill()
        found.process.wait()


def ready_after(seconds: float, folder: Path) -> Service:
    begun = time.monotonic()
    return Service(
        "one", ("one",), folder, probe=lambda _since: None if time.monotonic() - begun > seconds else "still starting"
    )


@pytest.mark.parametrize("supervisor", [BUSY, WRITING], ids=["uses the processor", "writes to its log"], indirect=True)
def test_start_and_wait_waits_for_a_slow_service_that_makes_progress(supervisor: OneProcess, tmp_path: Path) -> None:
    start_and_wait([ready_after(3, tmp_path)], supervisor, Silence(), 60)


@pytest.mark.parametrize("supervisor", [IDLE], indirect=True)
def test_start_and_wait_ends_when_a_service_does_nothing(supervisor: OneProcess, tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match=r"one has done nothing for \d+ seconds .*still starting"):
        start_and_wait([ready_after(60, tmp_path)], supervisor, Silence(), 60)

    assert supervisor.process.poll() is None, "it is left running, for the next call"


@pytest.mark.parametrize("supervisor", [BUSY], indirect=True)
def test_start_and_wait_names_the_setting_that_limits_it(supervisor: OneProcess, tmp_path: Path) -> None:
    with pytest.raises(NotReadyError, match="not ready within PLATFORM_START_SECONDS") as caught:
        start_and_wait([ready_after(60, tmp_path)], supervisor, Silence(), 1)

    assert "make up" in caught.value.remedy


@pytest.mark.parametrize("supervisor", ["raise SystemExit('no licence')"], indirect=True)
def test_start_and_wait_fails_when_a_service_ends(supervisor: OneProcess, tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="one ends right after its start") as caught:
        start_and_wait([ready_after(60, tmp_path)], supervisor, Silence(), 60)

    assert not isinstance(caught.value, NotReadyError)


@pytest.mark.parametrize("supervisor", [WRITING], indirect=True)
def test_start_and_wait_continues_with_a_running_service(supervisor: OneProcess, tmp_path: Path) -> None:
    with pytest.raises(NotReadyError):
        start_and_wait([ready_after(2, tmp_path)], supervisor, Silence(), 0)

    start_and_wait([ready_after(2, tmp_path)], supervisor, Silence(), 60)

    assert len(supervisor.started) == 1
